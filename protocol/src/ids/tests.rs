use super::*;

#[test]
fn ids_are_printed_with_all_their_digits_and_read_back() {
    let id = NodeId(0xbeef);
    assert_eq!(id.to_string(), "000000000000beef");
    assert_eq!(id.to_string().parse(), Ok(id));
    let request = RequestId(7);
    assert_eq!(request.to_string().len(), 32);
    assert_eq!(request.to_string().parse(), Ok(request));
}

#[test]
fn text_that_is_no_id_is_refused_by_what_it_should_have_been() {
    for text in ["", "beef", "00000000000000zz", "+00000000000beef", "0000000000000beef0"] {
        let error = text.parse::<NodeId>().unwrap_err();
        assert!(error.to_string().contains("16 hexadecimal digits"), "{error}");
    }
}
