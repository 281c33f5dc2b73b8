//! The order and the merging of the files, as salt-minion does them.

use super::*;

fn names(config: &Config) -> Vec<&str> {
    config.masters.iter().map(|m| m.name.as_str()).collect()
}

#[test]
fn drop_ins_are_merged_with_each_other_and_override_the_main_file() {
    let salt = Salt::with(&[
        ("minion", "id: m1\nmaster: [main]\nuser: kept\n"),
        ("minion.d/20-b.conf", "master: [c, b]\n"),
        ("minion.d/10-a.conf", "master: [b]\nkeysize: 4096\n"),
        ("minion.d/.hidden.conf", "master: [hidden]\n"),
        ("minion.d/other.txt", "master: [other]\n"),
    ]);
    let config = salt.config();
    assert_eq!(names(&config), ["b", "c"]);
    assert_eq!(config.user.as_deref(), Some("kept"));
    assert_eq!(config.keysize, 4096);
    let sources = ["minion", "minion.d/10-a.conf", "minion.d/20-b.conf"];
    assert_eq!(config.sources, sources.map(|name| salt.path().join(name)));
}

#[test]
fn include_comes_after_the_drop_ins_and_is_relative_to_its_file() {
    let salt = Salt::with(&[
        ("minion", "include: extra/*.conf\nid: main\nuser: main\n"),
        ("minion.d/a.conf", "id: drop-in\nuser: drop-in\n"),
        ("extra/b.conf", "id: included\ninclude: [deeper/c.conf]\n"),
        ("extra/deeper/c.conf", "pki_dir: /from/c\nid: deepest\n"),
    ]);
    let config = salt.config();
    assert_eq!(config.id.as_str(), "deepest");
    assert_eq!(config.user.as_deref(), Some("drop-in"));
    assert_eq!(config.pki_dir, Path::new("/from/c"));
}

#[test]
fn default_include_can_be_moved_and_turned_off() {
    let salt = Salt::with(&[
        ("minion", "default_include: conf/[!x]?.conf\nid: main\n"),
        ("minion.d/a.conf", "id: stock\n"),
        ("conf/a1.conf", "id: moved\n"),
        ("conf/x1.conf", "id: excluded\n"),
    ]);
    assert_eq!(salt.config().id.as_str(), "moved");
    let salt = Salt::with(&[
        ("minion", "default_include: ''\nid: main\n"),
        ("minion.d/a.conf", "id: stock\n"),
    ]);
    assert_eq!(salt.config().id.as_str(), "main");
}

#[test]
fn without_the_main_file_the_drop_ins_are_read_all_the_same() {
    let salt = Salt::with(&[("minion.d/a.conf", "id: m1\nmaster: elsewhere\n")]);
    assert_eq!(names(&salt.config()), ["elsewhere"]);
}

#[test]
fn a_file_of_comments_only_is_empty_however_long_it_is() {
    let comments = "##### Primary configuration settings #####\n#master: salt\n".repeat(4000);
    let salt = Salt::with(&[("minion", &comments), ("minion.d/a.conf", "---\nid: m1\n")]);
    assert_eq!(names(&salt.config()), ["salt"]);
}

#[test]
fn files_that_include_each_other_are_an_error_and_not_a_loop() {
    let salt = Salt::with(&[
        ("minion", "include: a.conf\n"),
        ("a.conf", "include: b.conf\n"),
        ("b.conf", "include: a.conf\n"),
    ]);
    assert!(
        salt.error().ends_with("a.conf includes itself"),
        "{}",
        salt.error()
    );
}

#[test]
fn a_file_that_salt_would_skip_is_an_error_that_quotes_nothing() {
    let salt = Salt::with(&[
        ("minion", "id: m1\n"),
        ("minion.d/bad.conf", "ok: 1\nsecret-word: [unclosed\n: }\n"),
    ]);
    let error = salt.error();
    assert!(
        error.contains("bad.conf") && error.contains("line"),
        "{error}"
    );
    assert!(!format!("{error}{:?}", salt.load()).contains("secret-word"));
    let salt = Salt::with(&[("minion", "just text\n")]);
    assert!(salt.error().contains("option: value"), "{}", salt.error());
    // Salt 3008.5, salt/utils/yamlloader.py: "found conflicting ID".
    let salt = Salt::main("user: a\nuser: b\n");
    assert!(salt.error().contains("twice"), "{}", salt.error());
}

#[test]
fn a_pipe_in_the_place_of_a_file_does_not_hang_the_reader() {
    let salt = Salt::with(&[("minion.d/a.conf", "id: x\n")]);
    let pipe = salt.path().join("minion.d/b.conf");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(
        salt.error().contains("not a regular file"),
        "{}",
        salt.error()
    );
}

#[test]
fn a_missing_directory_names_the_option_that_gives_it() {
    let error = load(Path::new("/nonexistent/salt/minion"), &Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("-c"), "{error}");
}

#[test]
fn reading_leaves_the_directory_as_it_was() {
    let salt = Salt::with(&[(
        "minion",
        "root_dir: /nonexistent\nminion_id_lowercase: True\n",
    )]);
    let keep = salt.config().keep_id.unwrap();
    assert_eq!(keep.file, Path::new("/nonexistent/etc/salt/minion_id"));
    let left: Vec<_> = fs::read_dir(salt.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn a_generated_id_is_kept_and_read_at_the_next_start() {
    let salt = Salt::with(&[]);
    let main = format!(
        "root_dir: {}\nappend_domain: example\n",
        salt.path().display()
    );
    fs::write(salt.path().join("minion"), main).unwrap();
    let first = salt.config();
    first.keep_id.unwrap().write().unwrap();
    let second = salt.config();
    assert_eq!((second.id, second.keep_id), (first.id, None));
    fs::write(salt.path().join("etc/salt/minion_id"), "web1").unwrap();
    assert_eq!(salt.config().id.as_str(), "web1.example");
}
