//! `invoice.issue`: an order becomes an invoice, filed and mailed.
//!
//! | step | does | after a crash in the middle |
//! |---|---|---|
//! | `render` | PDF into the store under a key of the job's own | is rendered again: the same bytes |
//! | `store` | moves it to its final key, once; renders it again if it is gone | finds it there with the same SHA-256 |
//! | `send` | mails it | mails it again with the same Message-ID |
//!
//! Its outcome then awaits the confirmation of the delivery, where the settings ask for one
//! ([`Delivery`]).
//!
//! Other arguments make another invoice, whose file and mail have other names.

use serde::{Deserialize, Serialize};
use upshot::{
    files::{Drafts, Settled, Store, Sweeper, sha256_of},
    mail::{Mail, Mailer, Recipient},
    pdf::{Builtin, Press},
    prelude::*,
    queue,
};

use super::{Invoice, Order, Seller, delivery::Delivery};

/// The step after which nothing reads the draft.
const STORE: &str = "store";
const TEMPLATE: &str = "invoice.typ";
const PDF: &str = "application/pdf";

/// The templates that come with the handler.
const TEMPLATES: &[Builtin] = &[
    Builtin { path: TEMPLATE, content: include_bytes!("../../templates/invoice.typ") },
    Builtin {
        path: "fonts/Inter-Regular.otf",
        content: include_bytes!("../../templates/fonts/Inter-Regular.otf"),
    },
    Builtin {
        path: "fonts/Inter-SemiBold.otf",
        content: include_bytes!("../../templates/fonts/Inter-SemiBold.otf"),
    },
];

/// The job: the data of `order.completed.v1`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct IssueInvoice(Order);

impl Job for IssueInvoice {
    const KIND: &'static str = "invoice.issue";
    const STEPS: &'static [&'static str] = &["render", STORE, "send"];
    type State = Desk;

    async fn run(self, cx: &Context<Desk>) -> Result<Outcome, Stop> {
        cx.state().issue(&self.0, cx).await
    }
}

/// What issuing an invoice takes.
pub struct Desk {
    seller: Seller,
    delivery: Delivery,
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
    /// The section of the settings with the seller.
    pub const SECTION: &'static str = "seller";

    /// Sets up templates, store and mail, and what looks after them.
    ///
    /// # Errors
    /// What cannot be used.
    pub async fn set_up(setup: Setup) -> Result<Self, upshot::executor::SetupError> {
        let (settings, queues) = (setup.settings(), setup.queues().to_vec());
        let desk = Self {
            seller: setup.optional_section(Self::SECTION)?.unwrap_or_default(),
            delivery: setup.optional_section(Delivery::SECTION)?.unwrap_or_default(),
            press: Press::new(&settings.templates, TEMPLATES)?,
            store: Store::open(&settings.store_url(), settings.store.ca_file.as_deref())?,
            drafts: Drafts::new(&settings.redis.prefix),
            mailer: Mailer::new(&settings.smtp)?,
        };
        desk.delivery.check(&desk.mailer)?;
        let health = setup.health().clone();
        let sweeper = Sweeper::new(desk.store.clone(), &desk.drafts, queues.clone(), STORE);
        let keeper = desk.mailer.keeper(queues.clone(), health.clone());
        let watch = desk.store.watch(queues, health, settings.store.look);
        setup.beside(|stop| sweeper.run(stop));
        setup.beside(|stop| keeper.run(stop));
        setup.beside(|stop| watch.run(stop));
        Ok(desk)
    }

    async fn issue(&self, order: &Order, cx: &Context<Self>) -> Result<Outcome, Stop> {
        let invoice = Invoice::of(order, &self.seller).map_err(Failure::permanent)?;
        // An address that cannot be mailed to is found before anything is filed.
        let customer = invoice.customer();
        let recipient = Recipient::new(&customer.name, &customer.email)?;
        let name = format!("{}.pdf", invoice.number());

        let draft = cx.step("render", async || self.render(&invoice, cx).await).await?;
        let filed = cx.step(STORE, async || self.file(&invoice, draft, &name, cx).await).await?;
        // A mail server cannot be asked; a mailbox drops the second mail of a Message-ID.
        let send = async || self.send(&invoice, &recipient, &filed, &name, cx).await;
        let sent = cx.effect_unchecked("send", Unclear::Repeat, send).await?;

        let object = Evidence::new(
            "object",
            [
                ("key", filed.key),
                ("sha256", filed.sha256),
                ("bytes", filed.bytes.to_string()),
                ("content_type", PDF.to_owned()),
            ],
        );
        let summary = format!("invoice {} filed and mailed", invoice.number());
        let outcome = match self.delivery.confirm(&sent.message_id) {
            None => Outcome::achieved(summary, object),
            Some(confirm) => Outcome::awaiting(summary, object, confirm),
        };
        Ok(outcome.and(Evidence::new("mail", [("message_id", sent.message_id), ("reply", sent.reply)])))
    }

    async fn render(&self, invoice: &Invoice, cx: &Context<Self>) -> Result<Filed, Stop> {
        let pdf = self.press.render(TEMPLATE, invoice.data()).await?;
        let filed =
            Filed { key: self.drafts.key(cx.job(), "pdf"), sha256: sha256_of(&pdf), bytes: pdf.len() };
        self.store.put(&filed.key, pdf.into()).await?;
        Ok(filed)
    }

    async fn file(
        &self,
        invoice: &Invoice,
        mut draft: Filed,
        name: &str,
        cx: &Context<Self>,
    ) -> Result<Filed, Stop> {
        // The job's id keeps shops apart that give out the same order numbers.
        let key = format!("invoices/{}/{name}", edition(cx.job(), '/'));
        if self.store.settle(&draft.key, &key, &draft.sha256).await? == Settled::Gone {
            // A rule of the store's own or an operator removed it: the invoice can be rendered
            // again. The templates may have changed, but nothing was filed or mailed yet.
            draft = self.render(invoice, cx).await?;
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
        cx: &Context<Self>,
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
        let id = format!("{}.invoice", edition(cx.job(), '.'));
        let accepted =
            self.mailer.send(mail(invoice, recipient, &id, name, pdf.to_vec()), Some(cx.lease())).await?;
        Ok(Sent { message_id: accepted.message_id, reply: accepted.reply })
    }
}

/// Names the file and the mail of a job: its id, then the number of the edit of its arguments. A
/// corrected invoice needs another file and another mail, because mail servers drop a second mail
/// with the same Message-ID.
fn edition(job: &queue::Job, separator: char) -> String {
    match job.edits() {
        0 => job.id.to_string(),
        edit => format!("{}{separator}edit-{edit}", job.id),
    }
}

/// The mail that brings an invoice.
pub(super) fn mail<'a>(
    invoice: &Invoice,
    to: &'a Recipient,
    id: &'a str,
    name: &'a str,
    pdf: Vec<u8>,
) -> Mail<'a> {
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

#[cfg(test)]
mod tests;
