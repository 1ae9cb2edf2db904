use super::*;

fn problem(change: &[(&str, &str)]) -> String {
    let text = change.iter().fold(BUILT_IN.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    Setting::parse(&text).unwrap_err().to_string()
}

#[test]
fn the_one_that_comes_with_the_program_is_the_reference_workload() {
    let setting = Setting::built_in().unwrap();
    let plan = setting.workload.plan(u64::from(setting.workload.requests));
    assert_eq!(plan, policy::plan::Workload::REFERENCE);
    assert!(setting.mixes.len() >= 5 && setting.budgets.len() == 2);
    assert_eq!(setting.workload.peak(), 300);
}

#[test]
fn what_cannot_be_is_told_with_its_field_and_a_remedy() {
    for (change, words) in [
        (("requests = 100_000", "requests = 0"), "workload.requests is 0: give 1 to 10000000"),
        (("requests = 100_000", "requests = -5"), "line 8, requests: "),
        (("answer = 500\n", ""), "missing field `answer`"),
        (("max_tokens = 1_000", "max_tokens = 499"), "workload.max_tokens is 499: give at least workload.answer, 500"),
        (("prompt = 1_000", "prompt = 100_000_000"), "workload.prompt is 100000000: give 1 to 10000000"),
        (("days = 30", "days = 400"), "workload.days is 400: give 1 to 366"),
        (("takes = \"12s\"", "takes = \"2h\""), "workload.takes is 2h: give at most 1h"),
        (("hours = [1, ", "hours = ["), "workload.hours is 23 numbers: give one for each of 24 hours"),
        (("name = \"one pair\"", "name = \"open models\""), "mixes[1].name is 'open models' again"),
        (("name = \"large\"", "name = \"small\""), "mixes[0].tiers[1].name is 'small' again"),
        (("labels = [\"llama-3.1-8b-instruct\"]\n", ""), "mixes[1].tiers[0].labels is left out: give the models"),
        (("limit = \"1200\"", "limit = \"-1\""), "'-1' is not an amount of money"),
        (("limit = \"1200\"", "limit = \"0\""), "budgets[0]: budget 'month' has a limit of zero"),
        (("alerts = [50, 80, 100]", "alerts = [50, 101]"), "budgets[0]: budget 'month': an alert at 101 %"),
        (("id = \"day of the large models\"", "id = \"month\""), "budgets[1].id is 'month' again"),
        (("about = ", "abut = "), "unknown field `abut`"),
    ] {
        let told = problem(&[change]);
        assert!(told.contains(words) && !told.contains('\n'), "{change:?}: {told}");
    }
    assert!(
        problem(&[("model = \"gpt-4-turbo\"", "model = \"gpt-4-turbo\"\nstands_in = true")])
            .contains("stands_in is true")
    );
}

#[test]
fn a_mix_of_one_tier_is_none() {
    let text = "[workload]\nrequests=1\nprompt=1\nanswer=1\nmax_tokens=1\ndays=1\ntakes='1s'\nhours=[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]\n";
    let mixes = format!("{text}[[mixes]]\nname='a'\ntiers=[{{name='x',model='gpt-5'}}]");
    assert!(Setting::parse(&mixes).unwrap_err().to_string().starts_with("mixes[0].tiers is 1 of them: give 2 to 8"));
    assert!(Setting::parse(&format!("mixes=[]\n{text}")).unwrap_err().to_string().starts_with("mixes is empty"));
}
