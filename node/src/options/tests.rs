use std::io::Write as _;

use super::*;

fn options(line: &[&str]) -> Result<Options, clap::Error> {
    Options::try_parse_from(std::iter::once("troupe-node").chain(line.iter().copied()))
}

fn plan(line: &[&str]) -> Result<Plan, BadOptions> {
    options(line).unwrap().plan()
}

#[test]
fn the_command_line_wins_over_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(
        b"[node]\ncoordinators = [\"a:1\"]\nthreads = 2\nname = \"file\"\n[models.small]\npath = \"p\"\nblock = 64\n[models.other]\npath = \"o\"\n",
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    let of_file = plan(&["--config", path]).unwrap();
    assert_eq!(of_file.models.len(), 2);
    assert_eq!(of_file.config.node.threads, Some(2));
    let line = [
        "--config",
        path,
        "--join",
        "b:2",
        "--join",
        "c:3",
        "--model",
        "small=q",
        "--threads",
        "5",
        "--dtype",
        "f32",
        "--quantization",
        "int4",
        "--kv-quantization",
        "int8",
        "--kv-memory",
        "60%",
        "--name",
        "line",
    ];
    let both = plan(&line).unwrap();
    assert_eq!(both.config.node.coordinators, ["b:2", "c:3"]);
    assert_eq!((both.config.node.threads, both.config.node.name.as_deref()), (Some(5), Some("line")));
    let [(name, model)] = both.models.iter().collect::<Vec<_>>()[..] else { panic!("{:?}", both.models) };
    assert_eq!((model.quantization.as_str(), model.kv_quantization.as_str()), ("int4", "int8"));
    assert_eq!(model.kv_memory.to_string(), "60%");
    assert_eq!((name.as_str(), model.path.to_str().unwrap(), model.block, model.dtype), ("small", "q", 64, Dtype::F32));
}

#[test]
fn what_may_be_asked_for_stays_beside_what_the_line_names() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let asked = "load = \"asked\"\n";
    let settings =
        format!("[models.a]\npath = \"a\"\n{asked}[models.b]\npath = \"b\"\n{asked}[models.c]\npath = \"c\"\n");
    file.write_all(settings.as_bytes()).unwrap();
    let base = ["--join", "x:1", "--config", file.path().to_str().unwrap()];
    let loads = |more: &[&str]| {
        let models = plan(&[&base, more].concat()).unwrap().models;
        models.into_iter().map(|(name, model)| (name, model.load)).collect::<Vec<_>>()
    };
    let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
    let (start, asked) = (LoadAt::Start, LoadAt::Asked);
    assert_eq!(loads(&[]), [(a.clone(), asked), (b.clone(), asked), (c, start)]);
    assert_eq!(loads(&["--model", "a=q"]), [(a, start), (b, asked)], "who is named is wanted now");
}

#[test]
fn what_is_missing_is_said_with_a_remedy() {
    assert!(plan(&[]).unwrap_err().to_string().contains("--model NAME=PATH"));
    assert!(plan(&["--model", "a=b", "--model", "a=c"]).unwrap_err().to_string().contains("'a' is given twice"));
    assert!(plan(&["--config", "/no/such/file"]).unwrap_err().to_string().contains("/no/such/file"));
    assert_eq!(plan(&["--engine", "mock"]).unwrap().models.keys().collect::<Vec<_>>(), ["mock"]);
}

#[test]
fn models_to_fetch_are_those_that_are_named() {
    let two = ["--model", "a=x", "--model", "b=y"];
    let models = |more: &[&str]| {
        let plan = plan(&[&two, more].concat()).unwrap();
        (plan.fetch_only, plan.models.into_keys().collect::<Vec<_>>())
    };
    assert_eq!(models(&[]), (false, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(models(&["--fetch-only"]), (true, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(models(&["--fetch-only", "b"]), (true, vec!["b".to_owned()]));
    let error = plan(&[&two[..], &["--fetch-only", "c"]].concat()).unwrap_err().to_string();
    assert!(error.contains("no model 'c' to fetch") && error.contains("a, b"), "{error}");
}

#[test]
fn malformed_options_are_refused() {
    let bad: [&[&str]; 10] = [
        &["--join", "nowhere"],
        &["--join", "host:0"],
        &["--model", "noequals"],
        &["--model", "=path"],
        &["--threads", "0"],
        &["--dtype", "f16"],
        &["--quantization", "int2"],
        &["--kv-quantization", "int4"],
        &["--kv-memory", "lots"],
        &["--metrics", "9100"],
    ];
    for line in bad {
        assert_eq!(options(line).unwrap_err().exit_code(), 2, "{line:?}");
    }
}
