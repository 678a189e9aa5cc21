//! `invoice.issue`: an order becomes an invoice, filed and mailed.
//!
//! | step | does | after a crash in the middle |
//! |---|---|---|
//! | `render` | PDF into the store under a key of the job's own | is rendered again: the same bytes |
//! | `store` | moves it to its final key, once; renders it again if it is gone | finds it there with the same SHA-256 |
//! | `send` | mails it | mails it again with the same Message-ID |
//!
//! Other arguments are another invoice: its file and its mail have names of their own.

use std::{sync::Arc, time::Duration};

use apalis_core::task::data::Data;
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use upshot_queue::{Failure, Job, Lease, Queue};
use upshot_runtime::{Health, Settings};
use upshot_shared::{Evidence, Outcome};

use crate::{
    executor::Error,
    invoice::{Invoice, Order, Seller},
    mail::{Keeper, Mail, Mailer, Recipient},
    press::Press,
    steps::Steps,
    stop::Stop,
    store::{Drafts, Settled, Store, Sweeper, Watch, sha256_of},
};

/// The kind; waiting jobs carry it.
pub const KIND: &str = "invoice.issue";
/// The version of the arguments: the data of `order.completed.v1`.
pub const VERSION: u32 = 1;

#[cfg(test)]
mod agreement;

/// The step after which nothing reads the draft.
const STORE: &str = "store";
const TEMPLATE: &str = "invoice.typ";
const PDF: &str = "application/pdf";

/// What issuing an invoice takes.
pub struct Desk {
    seller: Seller,
    press: Press,
    store: Store,
    drafts: Drafts,
    mailer: Mailer,
}

/// A file, as steps remember it.
#[derive(Debug, Serialize, Deserialize)]
struct Filed {
    key: String,
    sha256: String,
    bytes: usize,
}

/// A mail, as its step remembers it.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    message_id: String,
    reply: String,
}

impl Desk {
    /// Sets up templates, store and mail.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn new(settings: &Settings) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            seller: settings.seller.clone().map_or_else(|| Ok(Seller::default()), toml::Table::try_into)?,
            press: Press::new(&settings.templates)?,
            store: Store::open(&settings.store_url(), settings.store.ca_file.as_deref())?,
            drafts: Drafts::new(&settings.redis.prefix),
            mailer: Mailer::new(&settings.smtp)?,
        }))
    }

    /// Sweeps the drafts of jobs of these queues.
    pub fn sweeper(&self, queues: impl IntoIterator<Item = Queue>) -> Sweeper {
        Sweeper::new(self.store.clone(), &self.drafts, queues, STORE)
    }

    /// Looks whether the store takes files.
    pub fn watch(&self, queues: Vec<Queue>, health: Health, every: Duration) -> Watch {
        self.store.watch(queues, health, every)
    }

    /// Looks after the jobs of these queues that wait for the mail server.
    pub fn keeper(&self, queues: Vec<Queue>, health: Health) -> Keeper {
        self.mailer.keeper(queues, health)
    }

    /// The handler for the registry.
    pub fn handler(
        self: Arc<Self>,
    ) -> impl Fn(Order, Data<Lease>) -> BoxFuture<'static, Result<Outcome, Stop>> + Clone + Send + Sync {
        move |order, lease| {
            let desk = Arc::clone(&self);
            async move { desk.issue(&order, &lease).await }.boxed()
        }
    }

    async fn issue(&self, order: &Order, lease: &Lease) -> Result<Outcome, Stop> {
        let steps = Steps::new(lease, ["render", STORE, "send"]);
        let invoice = Invoice::of(order, &self.seller).map_err(Failure::permanent)?;
        // An address that cannot be mailed to is found before anything is filed.
        let customer = invoice.customer();
        let recipient = Recipient::new(&customer.name, &customer.email)?;
        let name = format!("{}.pdf", invoice.number());

        let draft = steps.run("render", async || self.render(&invoice, lease).await).await?;
        let filed = steps.run(STORE, async || self.file(&invoice, draft, &name, lease).await).await?;
        let sent =
            steps.run("send", async || self.send(&invoice, &recipient, &filed, &name, lease).await).await?;
        steps.done().await?;

        let object = Evidence::new(
            "object",
            [
                ("key", filed.key),
                ("sha256", filed.sha256),
                ("bytes", filed.bytes.to_string()),
                ("content_type", PDF.to_owned()),
            ],
        );
        let mail = Evidence::new("mail", [("message_id", sent.message_id), ("reply", sent.reply)]);
        Ok(Outcome::achieved(format!("invoice {} filed and mailed", invoice.number()), object).and(mail))
    }

    async fn render(&self, invoice: &Invoice, lease: &Lease) -> Result<Filed, Stop> {
        let pdf = self.press.render(TEMPLATE, invoice.data()).await?;
        let filed =
            Filed { key: self.drafts.key(lease.job(), "pdf"), sha256: sha256_of(&pdf), bytes: pdf.len() };
        self.store.put(&filed.key, pdf.into()).await?;
        Ok(filed)
    }

    async fn file(
        &self,
        invoice: &Invoice,
        mut draft: Filed,
        name: &str,
        lease: &Lease,
    ) -> Result<Filed, Stop> {
        // The job's id keeps shops apart that give out the same order numbers.
        let key = format!("invoices/{}/{name}", edition(lease.job(), '/'));
        if self.store.settle(&draft.key, &key, &draft.sha256).await? == Settled::Gone {
            // A rule of the store's own or an operator removed it: the invoice can be rendered
            // again. The templates may have changed, but nothing was filed or mailed yet.
            draft = self.render(invoice, lease).await?;
            if self.store.settle(&draft.key, &key, &draft.sha256).await? == Settled::Gone {
                return Err(Failure::transient(format!("`{}` went from the store at once", draft.key)).into());
            }
        }
        Ok(Filed { key, sha256: draft.sha256, bytes: draft.bytes })
    }

    async fn send(
        &self,
        invoice: &Invoice,
        recipient: &Recipient,
        filed: &Filed,
        name: &str,
        lease: &Lease,
    ) -> Result<Sent, Stop> {
        let pdf = self.store.get(&filed.key).await?;
        let pdf = pdf.ok_or_else(|| Failure::permanent(format!("`{}` is gone from the store", filed.key)))?;
        if sha256_of(&pdf) != filed.sha256 {
            return Err(Failure::permanent(format!(
                "`{}` was changed in the store: it is not mailed",
                filed.key
            ))
            .into());
        }
        let id = format!("{}.invoice", edition(lease.job(), '.'));
        let accepted =
            self.mailer.send(mail(invoice, recipient, &id, name, pdf.to_vec()), Some(lease)).await?;
        Ok(Sent { message_id: accepted.message_id, reply: accepted.reply })
    }
}

/// Names what is made from the arguments that a job has: its id, and behind it which other
/// arguments these are. A corrected invoice is another file, and its mail another mail: mail
/// servers drop a second one with the same Message-ID.
fn edition(job: &Job, separator: char) -> String {
    match job.edits() {
        0 => job.id.to_string(),
        edit => format!("{}{separator}edit-{edit}", job.id),
    }
}

/// The mail that brings an invoice.
fn mail<'a>(invoice: &Invoice, to: &'a Recipient, id: &'a str, name: &'a str, pdf: Vec<u8>) -> Mail<'a> {
    let number = invoice.number();
    Mail {
        id,
        to,
        subject: format!("Your invoice {number}"),
        text: format!(
            "Dear {},\n\nthank you for your order. Invoice {number} for {} is attached.\n\n\
             Please pay by {}.\n\nKind regards\n{}\n",
            invoice.customer().name,
            invoice.gross_text(),
            invoice.due_date(),
            invoice.seller().name,
        ),
        attachment: (name, PDF, pdf),
    }
}
