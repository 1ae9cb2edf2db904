use super::*;

const TERMS: [Duration; 3] = [Duration::from_micros(9_000), Duration::from_micros(700), Duration::from_micros(250)];

/// Points on the line of these terms, or so many hundredths above every second one.
fn decode(terms: [Duration; 3], noise: u32) -> Vec<Point> {
    let mut points = Vec::new();
    for batch in [1, 2, 8, 32] {
        for context in [128, 1024, 2048] {
            let mut point = Point::decode(batch, batch * context, Duration::ZERO);
            let exact = point.told(&terms);
            point.least = if points.len() % 2 == 0 { exact } else { exact * (100 + noise) / 100 };
            points.push(point);
        }
    }
    points
}

#[test]
fn a_line_is_found_again_from_its_points() {
    let found: [Duration; 3] = fit::line(&decode(TERMS, 0)).unwrap();
    for (found, told) in found.iter().zip(TERMS) {
        assert!(found.abs_diff(told) < Duration::from_nanos(10), "{found:?} for {told:?}");
    }
}

#[test]
fn noise_moves_it_by_about_as_much() {
    let found: [Duration; 3] = fit::line(&decode(TERMS, 4)).unwrap();
    for (found, told) in found.iter().zip(TERMS) {
        assert!(found.abs_diff(told) < told / 10, "{found:?} for {told:?}");
    }
}

#[test]
fn no_term_is_below_nothing() {
    // Longer contexts that come out quicker: by chance alone, and a profile must not say so.
    let mut points = decode([TERMS[0], TERMS[1], Duration::ZERO], 0);
    for point in &mut points {
        point.least = point.least.mul_f64(1.0 - 1e-7 * point.before as f64);
    }
    let found: [Duration; 3] = fit::line(&points).unwrap();
    assert_eq!(found[2], Duration::ZERO);
    assert!(found[0] > Duration::ZERO && found[1] > Duration::ZERO);
}

#[test]
fn points_that_do_not_tell_the_terms_apart_give_no_line() {
    let one = decode(TERMS, 0).into_iter().next().unwrap();
    assert_eq!(fit::line::<3>(&[one.clone(), one]), None);
    assert_eq!(fit::line::<3>(&[]), None);
}

#[test]
fn a_prompt_token_has_before_it_what_came_before() {
    // Tokens 100, 101 and 102 of a prompt have 100, 101 and 102 before them.
    let point = Point::prefill(3, 100, Duration::from_millis(1));
    assert_eq!(point.terms, [3.0, 303.0 / 1024.0]);
}
