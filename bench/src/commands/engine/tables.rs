//! The engine's figures as tables: one line per format.

use std::collections::BTreeSet;

use crate::figure::Figure;
use crate::table::{NONE, Table};

pub(super) fn print(figures: &[Figure]) {
    let formats = formats(figures);
    println!("{}", single(figures, &formats));
    let contexts: BTreeSet<Option<u32>> = of(figures, "decode").map(|figure| figure.context).collect();
    for context in contexts {
        let at = |figure: &&Figure| figure.context == context;
        let here: Vec<Figure> = of(figures, "decode").filter(at).cloned().collect();
        match context {
            Some(tokens) => println!("Decode after {tokens} tokens: tokens per second, and p50 / p99 of a step in ms"),
            None => println!("Decode as the peers measure it: tokens per second"),
        }
        println!("\n{}", decode(&here, &formats));
    }
    for figure in of(figures, "waste") {
        let percent = number(figure.percent, 1);
        let most = figure.batch.unwrap_or(0);
        println!("KV memory wasted under a load of mixed lengths, up to {most} requests at once: {percent} %\n");
    }
    if of(figures, "split").next().is_some() {
        println!("Where the time of a decode step goes, %\n\n{}", split(figures, formats.as_slice()));
    }
}

/// Where steps go: a line per format and batch.
fn split(figures: &[Figure], formats: &[String]) -> Table {
    let all: Vec<&Figure> = of(figures, "split").collect();
    let mut parts: Vec<&str> = Vec::new();
    for part in all.iter().filter_map(|figure| figure.part.as_deref()) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    let mut table = Table::new(std::iter::once("").chain(parts.iter().copied()));
    let places: BTreeSet<_> = all.iter().map(|figure| (figure.batch, figure.context)).collect();
    for format in formats {
        for (batch, context) in &places {
            let here = |part: &str| {
                all.iter().find(|figure| {
                    figure.format == *format
                        && (figure.batch, figure.context) == (*batch, *context)
                        && figure.part.as_deref() == Some(part)
                })
            };
            let name = format!("{format}, batch {} at {}", batch.unwrap_or(0), context.unwrap_or(0));
            let cells = parts.iter().map(|part| number(here(part).and_then(|figure| figure.percent), 1));
            table.row(std::iter::once(name).chain(cells));
        }
    }
    table
}

/// Load, prefill and the first token.
fn single(figures: &[Figure], formats: &[String]) -> Table {
    let cached = of(figures, "ttft").filter_map(|figure| figure.cached).max();
    let ttft = cached.map_or("first token, cached".to_owned(), |cached| format!("{cached} cached, ms"));
    let tokens = of(figures, "ttft").filter_map(|figure| figure.tokens).max().unwrap_or(0);
    let mut table = Table::new([
        "".to_owned(),
        "load, s".into(),
        "held, MiB".into(),
        "peak, MiB".into(),
        "prefill 512, tok/s".into(),
        format!("first token of {tokens}, ms"),
        ttft,
    ]);
    for format in formats {
        let find = |what: &'static str| of(figures, what).filter(|figure| figure.format == *format);
        let load = find("load").next();
        let first = |warm: bool| find("ttft").find(|figure| (figure.cached > Some(0)) == warm).and_then(|one| one.ms);
        table.row([
            format.clone(),
            number(load.and_then(|load| load.ms).map(|ms| ms / 1e3), 2),
            number(load.and_then(|load| load.mib), 0),
            number(load.and_then(|load| load.peak_mib), 0),
            number(find("prefill").next().and_then(|figure| figure.tok_s), 0),
            number(first(false), 1),
            number(first(true), 1),
        ]);
    }
    table
}

fn decode(figures: &[Figure], formats: &[String]) -> Table {
    let batches: BTreeSet<u32> = figures.iter().filter_map(|figure| figure.batch).collect();
    let mut head = vec![String::new()];
    for batch in &batches {
        head.push(format!("batch {batch}"));
        head.push("p50 / p99".to_owned());
    }
    let mut table = Table::new(head);
    for format in formats {
        let mut cells = vec![format.clone()];
        for batch in &batches {
            let found = figures.iter().find(|figure| figure.format == *format && figure.batch == Some(*batch));
            cells.push(number(found.and_then(|figure| figure.tok_s), 1));
            let times = found.and_then(|figure| Some((figure.p50_ms?, figure.p99_ms?)));
            cells.push(times.map_or(NONE.to_owned(), |(p50, p99)| format!("{p50:.1} / {p99:.1}")));
        }
        table.row(cells);
    }
    table
}

fn of<'a>(figures: &'a [Figure], what: &'a str) -> impl Iterator<Item = &'a Figure> {
    figures.iter().filter(move |figure| figure.what == what)
}

/// In the order in which they were measured.
fn formats(figures: &[Figure]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for figure in figures {
        if !all.contains(&figure.format) {
            all.push(figure.format.clone());
        }
    }
    all
}

/// A dash where nothing was measured.
fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.digits$}"))
}
