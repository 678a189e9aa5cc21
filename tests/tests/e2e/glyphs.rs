//! Orders whose characters no font has, and orders whose words are long: `tests/cases`.

use std::path::Path;

use serde_json::Value;
use upshot_queue::{FailureClass, JobId, State};
use upshot_tests::Stage;

use crate::invoices::text_of;

async fn publish(stage: &Stage, name: &str) -> JobId {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cases/{name}.json"));
    let event: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    stage.publish(&event).await;
    stage.job_of(&event)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_with_characters_that_no_font_has_is_not_achieved() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[("UPSHOT_TEMPLATES__FONTS", "[]".to_owned())]).await;
    for (name, words) in [
        (
            "pdf_cjk",
            &["U+4F1A (/customer/name)", "U+4E38 (/customer/address/0)", "17 more", "fonts-noto-cjk"][..],
        ),
        ("pdf_emoji", &["U+1F384 (/lines/0/description)", "fonts-noto-color-emoji"]),
    ] {
        let id = publish(&stage, name).await;
        let dead = stage.until(&id, |job| job.state.is_final()).await;
        assert_eq!(dead.state, State::Dead, "{name}");
        let [failed] = dead.history.as_slice() else { panic!("{dead:?}") };
        assert_eq!(failed.class, FailureClass::Permanent);
        for word in words {
            assert!(failed.message.contains(word), "{word}: {}", failed.message);
        }
        assert!(dead.steps.is_empty(), "nothing was filed");
    }
    assert!(stage.mail.messages().unwrap().is_empty());
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}

/// `scripts/setup test` installs a font for the one; the others need none.
#[tokio::test(flavor = "multi_thread")]
async fn fonts_of_the_machine_fill_in_and_long_words_break() {
    let stage = Stage::new().await;
    let bridge = stage.start("bridge", &[]).await;
    let executor = stage.start("executor", &[]).await;
    for (name, words) in [
        ("pdf_cjk", &["株式会社山田商店", "緑茶 500g 有機栽培"][..]),
        ("pdf_digits21", &["INV-100000000012345678901"]),
        ("pdf_hex24", &["INV-507f1f77bcf86cd799439011"]),
        ("pdf_ulid", &["INV-01ARZ3NDEKTSV4RRFFQ69G5FAV"]),
        ("pdf_longwordname", &["WWWWWWWWWWWWWWWWWWWWWWWWWWW"]),
    ] {
        let job = stage.succeeded(&publish(&stage, name).await).await;
        let text = text_of(&stage.files().join(job.step("store").unwrap()["key"].as_str().unwrap())).await;
        for word in words {
            assert!(text.contains(word), "{name}: `{word}` is not in {text}");
        }
    }
    for process in [bridge, executor] {
        process.stop().await;
    }
    stage.finish().await;
}
