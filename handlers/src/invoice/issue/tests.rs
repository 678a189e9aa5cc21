//! An invoice whose delivery must be confirmed, without Redis.

use std::time::Duration;

use serde_json::json;
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
async fn an_invoice_awaits_the_confirmation_of_its_delivery_and_is_mailed_once() {
    let mut scene = Scene::new(Some(DAY)).await;
    for attempt in 0..2 {
        let run = scene.run().await;
        let outcome = run.outcome();
        assert_eq!(outcome.summary, "invoice INV-1042 filed and mailed");
        let kinds: Vec<&str> = outcome.evidence().iter().map(|each| each.kind.as_str()).collect();
        assert_eq!(kinds, ["object", "mail"]);
        let confirm = outcome.confirm().unwrap();
        assert_eq!((confirm.within, confirm.on_silence), (DAY, OnSilence::Missed));
        let message_id = run.step("send")["message_id"].as_str().unwrap();
        assert_eq!(format!("<{}>", confirm.key.strip_prefix("delivered ").unwrap()), message_id);
        assert_eq!(run.ran.is_empty(), attempt > 0, "no step runs again: {:?}", run.ran);
    }
    assert_eq!(scene.mails(), 1);
    scene.mail.stop().await.unwrap();
}
