//! An invoice whose delivery must be confirmed, without Redis.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use upshot::runtime::settings::{SmtpSettings, TemplateSettings};
use upshot_servers::{MailOptions, MailServer};
use upshot_testkit::{Run, Trial};

use super::{super::order::tests::example, *};

/// A desk with a store and a mail server of its own.
struct Scene {
    trial: Trial<IssueInvoice>,
    mail: MailServer,
    _files: TempDir,
}

impl Scene {
    async fn new(confirm_delivery: Option<Duration>) -> Self {
        let files = tempfile::tempdir().unwrap();
        let options = MailOptions { ephemeral: true, ..MailOptions::default() };
        // Its folder goes with the server.
        let mail = MailServer::start_with(&tempfile::tempdir().unwrap().keep(), options).await.unwrap();
        let smtp = SmtpSettings {
            url: serde_json::from_value(json!(mail.url())).unwrap(),
            ..SmtpSettings::default()
        };
        let desk = Desk {
            seller: Seller::default(),
            delivery: Delivery { confirm_delivery },
            press: Press::new(&TemplateSettings::default(), TEMPLATES).unwrap(),
            store: Store::open(&format!("file://{}", files.path().display()), None).unwrap(),
            drafts: Drafts::new("upshot"),
            mailer: Mailer::new(&smtp).unwrap(),
        };
        let trial = Trial::new(example(), desk).job(|job| job.tenant = Some("berlin".to_owned()));
        Self { trial, mail, _files: files }
    }

    /// An attempt. Its future is large.
    async fn run(&mut self) -> Run {
        Box::pin(self.trial.run()).await
    }

    fn mails(&self) -> usize {
        self.mail.messages().unwrap().len()
    }
}

/// The key of the signal that the job waits for.
fn awaited(run: &Run) -> String {
    let Stop::Parked(park) = run.stop() else { panic!("{run:?}") };
    assert_eq!((park.condition.tenant(), park.within), (Some("berlin"), Some(DAY)));
    assert!(park.why.contains("no confirmation"), "{park:?}");
    let message_id = run.step("send")["message_id"].as_str().unwrap();
    let key = park.condition.key().to_owned();
    assert_eq!(format!("<{}>", key.strip_prefix("delivered ").unwrap()), message_id);
    key
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn without_the_setting_a_mail_that_the_server_accepted_is_enough() {
    let mut scene = Scene::new(None).await;
    let run = scene.run().await;
    assert_eq!(run.outcome().summary, "invoice INV-1042 filed and mailed");
    assert_eq!(run.outcome().evidence().len(), 2);
    scene.mail.stop().await.unwrap();
}

#[tokio::test]
async fn an_invoice_waits_for_the_confirmation_of_its_delivery_and_is_mailed_once() {
    let mut scene = Scene::new(Some(DAY)).await;
    let key = awaited(&scene.run().await);
    assert_eq!(awaited(&scene.run().await), key, "it waits again for the same signal");
    let said = json!({"provider": "Post", "at": "2026-03-14T10:00:05Z", "receipt": "r-17"});
    scene.trial.signal(&key, said);
    let run = scene.run().await;
    assert_eq!(run.outcome().summary, "invoice INV-1042 filed, mailed and delivered");
    let kinds: Vec<&str> = run.outcome().evidence().iter().map(|each| each.kind.as_str()).collect();
    assert_eq!(kinds, ["object", "mail", "delivery"]);
    let delivery: Value = serde_json::to_value(&run.outcome().evidence()[2]).unwrap();
    assert_eq!((&delivery["provider"], &delivery["receipt"]), (&json!("Post"), &json!("r-17")));
    assert_eq!(run.ran, Vec::<String>::new(), "no step runs again");
    assert_eq!(scene.mails(), 1);
    scene.mail.stop().await.unwrap();
}

#[tokio::test]
async fn a_delivery_that_is_never_confirmed_is_a_permanent_failure() {
    let mut scene = Scene::new(Some(DAY)).await;
    let key = awaited(&scene.run().await);
    scene.trial.time_out(&key);
    let run = scene.run().await;
    let Stop::Failed(failure) = run.stop() else { panic!("{run:?}") };
    assert_eq!(failure.class, FailureClass::Permanent);
    for words in ["accepted the mail", "not confirmed within 1day", key.as_str(), "retry"] {
        assert!(failure.message.contains(words), "`{words}` is not in: {failure}");
    }
    assert_eq!(scene.mails(), 1);
    scene.mail.stop().await.unwrap();
}
