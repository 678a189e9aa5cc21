//! Effects with receipts, over a crash at every write.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use upshot_executor::{Context, Job, Stop, Unclear};
use upshot_queue::{Failure, FailureClass};
use upshot_shared::{Evidence, Outcome};
use upshot_testkit::{Run, Trial, crash_everywhere};

/// A bank that charges whatever it is asked to, by key, and can be asked.
#[derive(Default)]
struct Bank {
    charged: Mutex<Vec<String>>,
    /// What the next charges come to, from the last one on.
    troubles: Mutex<Vec<Trouble>>,
}

#[derive(Clone, Copy)]
enum Trouble {
    /// It is charged, and the answer is lost.
    Lost,
    /// It is not charged, for good.
    Refused,
}

impl Bank {
    fn charge(&self, key: &str) -> Result<String, Failure> {
        let trouble = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(Trouble::Refused) = trouble {
            return Err(Failure::permanent("no cover"));
        }
        let mut charged = self.charged.lock().unwrap_or_else(PoisonError::into_inner);
        charged.push(key.to_owned());
        match trouble {
            Some(_) => Err(Failure::new(FailureClass::Unclear, "no answer")),
            None => Ok(format!("receipt of {key}")),
        }
    }

    fn find(&self, key: &str) -> Result<Option<String>, Failure> {
        let is_there = self.charges().iter().any(|charged| charged == key);
        Ok(is_there.then(|| format!("receipt of {key}")))
    }

    fn charges(&self) -> Vec<String> {
        self.charged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Deserialize)]
struct Pay {
    checked: bool,
    #[serde(default)]
    repeats: bool,
}

impl Job for Pay {
    const KIND: &'static str = "order.pay";
    type State = Bank;

    async fn run(self, cx: &Context<Bank>) -> Result<Outcome, Stop> {
        let (bank, key) = (cx.state(), cx.key("charge"));
        cx.step("price", async || Ok::<_, Stop>(7)).await?;
        let act = async || bank.charge(&key);
        let receipt: String = if self.checked {
            cx.effect("charge", async || bank.find(&key), act).await?
        } else {
            let unclear = if self.repeats { Unclear::Repeat } else { Unclear::Ask };
            cx.effect_unchecked("charge", unclear, act).await?
        };
        Ok(Outcome::achieved("paid", Evidence::new("charge", [("receipt", receipt)])))
    }
}

fn pay(args: Value, troubles: &[Trouble]) -> Trial<Pay> {
    let bank = Bank { troubles: Mutex::new(troubles.to_vec()), ..Bank::default() };
    Trial::new(args, bank)
}

fn receipt(run: &Run) -> String {
    serde_json::to_value(run.outcome()).unwrap()["evidence"][0]["receipt"].as_str().unwrap().to_owned()
}

/// The key under which a job asks whether its effect happened.
fn question(run: &Run) -> String {
    let why = run.stop().why().to_owned();
    assert!(matches!(run.stop(), Stop::Parked(_)), "{run:?}");
    why.split('`').nth(3).unwrap().to_owned()
}

#[tokio::test]
async fn a_checked_effect_happens_once_whatever_crashes() {
    let mut runs = 0;
    crash_everywhere(
        || pay(json!({"checked": true}), &[]),
        |trial, run| {
            runs += 1;
            let charges = trial.state().charges();
            assert_eq!(charges.len(), 1, "{run:?}");
            assert_eq!(receipt(run), format!("receipt of {}", charges[0]));
            assert!(run.begun.is_empty(), "{run:?}");
        },
    )
    .await;
    assert!(runs > 8, "a crash before and after each write: {runs}");
}

#[tokio::test]
async fn a_lost_answer_is_found_by_the_check() {
    let mut trial = pay(json!({"checked": true}), &[Trouble::Lost]);
    let run = trial.run().await;
    assert_eq!((run.stop().why(), run.begun.as_slice()), ("no answer", ["charge".to_owned()].as_slice()));
    let run = trial.run().await;
    assert_eq!((trial.state().charges().len(), run.begun.len()), (1, 0));
    assert!(receipt(&run).ends_with(".charge"), "{run:?}");
}

#[tokio::test]
async fn an_unchecked_effect_is_repeated_where_that_is_the_rule() {
    let mut trial = pay(json!({"checked": false, "repeats": true}), &[Trouble::Lost]);
    assert!(matches!(trial.run().await.stop(), Stop::Failed(_)));
    trial.run().await.outcome();
    let charges = trial.state().charges();
    assert!(charges.len() == 2 && charges[0] == charges[1], "both have one key: {charges:?}");
}

#[tokio::test]
async fn a_person_says_whether_an_unchecked_effect_happened() {
    let args = json!({"checked": false});
    // It happened: its receipt is what the person gives.
    let mut trial = pay(args.clone(), &[Trouble::Lost]);
    trial.run().await;
    let asked = question(&trial.run().await);
    let run = trial.signal(&asked, json!({"happened": true, "receipt": "R-9"})).run().await;
    assert_eq!((receipt(&run), trial.state().charges().len()), ("R-9".to_owned(), 1));

    // It did not: it is made, and if that is unclear again, the question is another one.
    let mut trial = pay(args.clone(), &[Trouble::Lost, Trouble::Lost]);
    trial.run().await;
    let first = question(&trial.run().await);
    assert!(first.contains(" effect "), "{first}");
    trial.advance(std::time::Duration::from_secs(1)).signal(&first, json!({"happened": false}));
    assert_eq!(trial.run().await.stop().why(), "no answer");
    let second = question(&trial.run().await);
    assert_ne!(first, second);

    // What cannot be used is logged, and asked again.
    trial.advance(std::time::Duration::from_secs(1)).signal(&second, json!("yes"));
    let run = trial.run().await;
    assert!(matches!(run.stop(), Stop::Snoozed(_)) && run.log[0].contains("lacks `happened`"), "{run:?}");
    let third = question(&trial.run().await);
    assert_ne!(second, third);
    trial.advance(std::time::Duration::from_secs(1)).signal(&third, json!({"happened": true, "receipt": 7}));
    let run = trial.run().await;
    assert!(run.log[0].contains("`receipt` has another form"), "{run:?}");
    assert_eq!(trial.state().charges().len(), 2);
}

#[tokio::test]
async fn a_refused_effect_has_not_begun() {
    let mut trial = pay(json!({"checked": false}), &[Trouble::Refused]);
    let run = trial.run().await;
    assert_eq!((run.stop().why(), run.begun.len()), ("no cover", 0));
    trial.run().await.outcome();
    assert_eq!(trial.state().charges().len(), 1);
}

#[tokio::test]
async fn an_unchecked_effect_that_asks_never_happens_twice_whatever_crashes() {
    crash_everywhere(
        || pay(json!({"checked": false}), &[]),
        |trial, run| {
            let charges = trial.state().charges().len();
            if run.begun.is_empty() {
                run.outcome();
                assert_eq!(charges, 1);
            } else {
                question(run);
                assert!(charges <= 1 && run.begun == ["charge"], "{run:?}");
            }
        },
    )
    .await;
}
