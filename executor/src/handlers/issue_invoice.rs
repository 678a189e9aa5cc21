//! `invoice.issue`: an order becomes an invoice, filed and mailed.
//!
//! | step | does | after a crash in the middle |
//! |---|---|---|
//! | `render` | PDF into the store under a key of the job's own | is rendered again: the same bytes |
//! | `store` | moves it to its final key, once | finds it there with the same SHA-256 |
//! | `send` | mails it | mails it again with the same Message-ID |

use std::{path::Path, sync::Arc};

use apalis_core::task::data::Data;
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use upshot_document::Renderer;
use upshot_queue::{Failure, Lease};
use upshot_shared::{Evidence, Outcome, Settings};

use crate::{
    executor::Error,
    invoice::{Invoice, Order, Seller},
    mail::{Mail, Mailer},
    steps::Steps,
    store::{Store, sha256_of},
};

/// The kind; waiting jobs carry it.
pub const KIND: &str = "invoice.issue";
/// The version of the arguments: the data of `order.completed.v1`.
pub const VERSION: u32 = 1;

const TEMPLATE: &str = "invoice.typ";
const PDF: &str = "application/pdf";

/// What issuing an invoice takes.
pub struct Desk {
    seller: Seller,
    renderer: Renderer,
    store: Store,
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
            renderer: Renderer::new(settings.templates.dir.as_deref().map(Path::new))?,
            store: Store::open(&settings.store_url())?,
            mailer: Mailer::new(&settings.smtp)?,
        }))
    }

    /// The handler for the registry.
    pub fn handler(
        self: Arc<Self>,
    ) -> impl Fn(Order, Data<Lease>) -> BoxFuture<'static, Result<Outcome, Failure>> + Clone + Send + Sync
    {
        move |order, lease| {
            let desk = Arc::clone(&self);
            async move { desk.issue(&order, &lease).await }.boxed()
        }
    }

    async fn issue(&self, order: &Order, lease: &Lease) -> Result<Outcome, Failure> {
        let steps = Steps::new(lease, ["render", "store", "send"]);
        let invoice = Invoice::of(order, &self.seller).map_err(Failure::permanent)?;
        let name = format!("{}.pdf", invoice.number());

        let draft = steps.run("render", async || self.render(&invoice, lease).await).await?;
        let filed = steps.run("store", async || self.file(&draft, &name, lease).await).await?;
        let sent = steps.run("send", async || self.send(&invoice, &filed, &name, lease).await).await?;
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

    async fn render(&self, invoice: &Invoice, lease: &Lease) -> Result<Filed, Failure> {
        let (renderer, data) = (self.renderer.clone(), invoice.data());
        // Rendering is pure computing: it must not hold up the other jobs.
        let rendering = tokio::task::spawn_blocking(move || renderer.render(TEMPLATE, &data));
        let pdf = rendering
            .await
            .map_err(|error| Failure::transient(format!("rendering was interrupted: {error}")))?
            .map_err(Failure::permanent)?;
        let filed = Filed {
            key: format!("drafts/{}.pdf", lease.job().id),
            sha256: sha256_of(&pdf),
            bytes: pdf.len(),
        };
        self.store.put(&filed.key, pdf.into()).await?;
        Ok(filed)
    }

    async fn file(&self, draft: &Filed, name: &str, lease: &Lease) -> Result<Filed, Failure> {
        // The job's id keeps shops apart that give out the same order numbers.
        let key = format!("invoices/{}/{name}", lease.job().id);
        self.store.settle(&draft.key, &key, &draft.sha256).await?;
        Ok(Filed { key, sha256: draft.sha256.clone(), bytes: draft.bytes })
    }

    async fn send(
        &self,
        invoice: &Invoice,
        filed: &Filed,
        name: &str,
        lease: &Lease,
    ) -> Result<Sent, Failure> {
        let pdf = self.store.get(&filed.key).await?;
        let pdf = pdf.ok_or_else(|| Failure::permanent(format!("`{}` is gone from the store", filed.key)))?;
        if sha256_of(&pdf) != filed.sha256 {
            return Err(Failure::permanent(format!(
                "`{}` was changed in the store: it is not mailed",
                filed.key
            )));
        }
        let customer = invoice.customer();
        let accepted = self
            .mailer
            .send(Mail {
                id: &format!("{}.invoice", lease.job().id),
                to_name: &customer.name,
                to: &customer.email,
                subject: &format!("Your invoice {}", invoice.number()),
                text: format!(
                    "Dear {},\n\nthank you for your order. Invoice {} for {} is attached.\n\n\
                     Please pay by {}.\n\nKind regards\n{}\n",
                    customer.name,
                    invoice.number(),
                    invoice.gross_text(),
                    invoice.due_date(),
                    invoice.seller().name,
                ),
                attachment: (name, PDF, pdf.to_vec()),
            })
            .await?;
        Ok(Sent { message_id: accepted.message_id, reply: accepted.reply })
    }
}
