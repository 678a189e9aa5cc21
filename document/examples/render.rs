//! Renders a template with a JSON file, and says what it cost. For people who edit templates:
//!
//! ```sh
//! cargo run --release -p upshot-document --example render -- invoice.typ data.json out.pdf [folder] [times]
//! ```

#![expect(clippy::print_stdout, reason = "this is a command line program")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use upshot_document::{Builtin, Renderer};

/// The templates of the shipped handlers.
const SHIPPED: &[Builtin] = &[
    Builtin { path: "invoice.typ", content: include_bytes!("../../handlers/templates/invoice.typ") },
    Builtin {
        path: "fonts/Inter-Regular.otf",
        content: include_bytes!("../../handlers/templates/fonts/Inter-Regular.otf"),
    },
    Builtin {
        path: "fonts/Inter-SemiBold.otf",
        content: include_bytes!("../../handlers/templates/fonts/Inter-SemiBold.otf"),
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [template, data, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: render <template> <data.json> <out.pdf> [templates folder or -] [times]".into());
    };
    let folder = rest.first().filter(|folder| *folder != "-").map(Path::new);
    let times: u32 = rest.get(1).map_or(Ok(1), |times| times.parse())?;

    let renderer = Renderer::new(SHIPPED, folder)?;
    let data = serde_json::from_slice(&fs::read(data)?)?;
    let mut took = Vec::new();
    for round in 1..=times {
        let started = Instant::now();
        let pdf = renderer.render(template, &data)?;
        took.push(started.elapsed());
        if round == times {
            fs::write(out, pdf)?;
        }
        if round == 1 || round == 50 || round == times {
            println!("after {round}: {} KiB resident", resident_kib());
        }
    }
    let first = took.first().copied().unwrap_or_default();
    took.sort();
    println!(
        "first {} ms, median {} ms, slowest {} ms",
        ms(first),
        ms(took[took.len() / 2]),
        ms(took[took.len() - 1])
    );
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Zero where the system does not tell.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}
