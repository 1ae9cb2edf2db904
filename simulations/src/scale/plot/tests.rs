use std::time::Duration;

use super::*;

fn row(nodes: u32, coordinators: u32, millis: u64, ttft_p99: f64) -> Row {
    Row {
        nodes,
        coordinators,
        delay: Span(Duration::from_millis(millis)),
        requests: 10,
        refused: 0,
        hits: 0.7,
        predicted: 0.7,
        ttft_p50: 0.1,
        ttft_p99,
        imbalance: 0.1,
        asked: 1.0,
        operations: 1,
    }
}

#[test]
fn each_number_of_coordinators_has_a_line_in_each_panel_whatever_the_order() {
    let mut rows: Vec<Row> = [10, 100].iter().flat_map(|nodes| [1, 16].map(|many| row(*nodes, many, 1, 0.3))).collect();
    rows.push(row(10, 1, 200, 0.5));
    let plot = svg(&rows).unwrap();
    let count = |text: &str| plot.matches(text).count();
    assert_eq!((count(">\n16 coordinators\n"), count(">\n1 coordinator\n")), (2, 4), "{plot}");
    assert_eq!((count("hits, %"), count("views 200ms late")), (2, 2));
    rows.reverse();
    assert_eq!(plot, svg(&rows).unwrap());
}

#[test]
fn what_is_not_finite_and_what_is_not_there_ends_all_the_same() {
    assert!(svg(&[row(10, 1, 1, f64::INFINITY), row(10, 2, 1, f64::NAN)]).is_ok());
    assert!(svg(&[]).unwrap_err().to_string().contains("nothing to plot"));
}
