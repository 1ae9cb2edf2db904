use super::*;

#[test]
fn a_token_is_read_back_and_hides_its_secret() {
    let token = JoinToken::new(Fingerprint::of(b"a certificate"), [7; 32]);
    let read: JoinToken = format!(" {}\n", token.reveal()).parse().unwrap();
    assert_eq!(read.fingerprint, token.fingerprint);
    assert!(read.is_secret(&[7; 32]));
    assert!(!read.is_secret(&[8; 32]) && !read.is_secret(&[7; 31]) && !read.is_secret(&[]));
    assert!(!format!("{token:?}").contains("0707"));
}

#[test]
fn damaged_tokens_say_which_part_is_damaged() {
    let good = JoinToken::new(Fingerprint([1; 32]), [2; 32]).reveal();
    assert_eq!("hello".parse::<JoinToken>().unwrap_err(), BadToken::Form);
    assert_eq!(good.replace("troupe1", "troupe2").parse::<JoinToken>().unwrap_err(), BadToken::Form);
    assert_eq!(good.replacen("01", "0x", 1).parse::<JoinToken>().unwrap_err(), BadToken::Fingerprint);
    assert_eq!(good[..good.len() - 1].parse::<JoinToken>().unwrap_err(), BadToken::Secret);
}
