use super::super::wheels::{LIBTORCH_CPU, SMOLLM2};
use super::*;

fn wheel_with(folder: &Path, names: &[&str]) -> PathBuf {
    let file = folder.join("some.whl");
    let script = "import sys, zipfile\n\
                  with zipfile.ZipFile(sys.argv[1], 'w') as z:\n\
                  \x20   for name in sys.argv[2:]: z.writestr(name, 'text of ' + name)\n";
    let made = Command::new("python3").args(["-c", script]).arg(&file).args(names).status().unwrap();
    assert!(made.success());
    file
}

fn some_wheel() -> &'static Wheel {
    SMOLLM2.parts[0].0
}

#[test]
fn trees_and_patterns_are_taken_and_the_rest_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = wheel_with(folder.path(), &["torch/include/a/b.h", "nvidia/x/lib/libx.so.1", "torch/left.py"]);
    let into = folder.path().join("into");
    unpack(some_wheel(), &file, &into, &[("torch/include/", "include"), ("nvidia/*/lib/*.so*", "lib")]).unwrap();
    assert_eq!(fs::read_to_string(into.join("include/a/b.h")).unwrap(), "text of torch/include/a/b.h");
    assert!(into.join("lib/libx.so.1").is_file());
    assert_eq!(fs::read_dir(&into).unwrap().count(), 2);
}

#[test]
fn a_wheel_that_lacks_a_file_repeats_one_or_leaves_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    let file = wheel_with(folder.path(), &["a/one.so", "b/one.so", "c/../../../out"]);
    let refusal = |takes: &[Take]| unpack(some_wheel(), &file, &into, takes).unwrap_err().to_string();
    assert!(refusal(&[("missing/", "")]).contains("nothing in it matches missing/"));
    assert!(refusal(&[("*.so", "lib")]).contains("lib/one.so comes twice"));
    assert!(refusal(&[("c/", "")]).contains("would leave the folder"));
    assert!(!folder.path().parent().unwrap().join("out").exists());
}

#[test]
fn a_truncated_wheel_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.whl");
    fs::write(&file, "PK").unwrap();
    let refused = unpack(some_wheel(), &file, folder.path(), &[("a/", "")]).unwrap_err().to_string();
    assert!(refused.contains("cannot be unpacked"), "{refused}");
}

#[test]
fn complete_means_the_stamp_and_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    for component in [&SMOLLM2, &LIBTORCH_CPU] {
        let staging = tempfile::tempdir_in(folder.path()).unwrap();
        let body = staging.path().join("body");
        fs::create_dir_all(body.join("lib")).unwrap();
        fs::write(body.join("lib/libtorch_cpu.so"), "").unwrap();
        fs::write(body.join("SmolLM2-135M-Instruct.Q4_1.gguf"), "").unwrap();
        assert!(!cache.is_complete(component));
        cache.put_in_place(component, &staging, &body).unwrap();
        assert!(cache.is_complete(component), "{}", component.title);

        fs::write(cache.stamp(component), "layout 0\n").unwrap();
        assert!(!cache.is_complete(component), "another stamp");
        fs::write(cache.stamp(component), stamp_text(component)).unwrap();
        assert!(cache.is_complete(component));
        let place = cache.place(component);
        fs::rename(&place, place.with_extension("away")).unwrap();
        assert!(!cache.is_complete(component), "the files are gone");
    }
}

#[test]
fn the_sweep_takes_leftovers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().to_owned());
    for name in [".partial-x", "downloads/.pip-x", "models", "libtorch-2.13.0-cpu"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    cache.sweep();
    assert!(!folder.path().join(".partial-x").exists() && !folder.path().join("downloads/.pip-x").exists());
    assert!(folder.path().join("models").exists() && folder.path().join("libtorch-2.13.0-cpu").exists());
}
