use super::*;

#[test]
fn every_profile_of_the_repository_is_read_and_bears_its_file_s_name() {
    for name in names() {
        let profile = Profile::by_name(name).unwrap();
        assert_eq!(profile.name, name);
    }
}

#[test]
fn what_is_written_is_read_back() {
    for name in names() {
        let profile = Profile::by_name(name).unwrap();
        assert_eq!(Profile::parse("x", &profile.to_toml()).unwrap(), profile);
    }
}
