//! The order and the merging of the files, as the salt-master does them.

use std::fs;
use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A configuration directory with these files in it.
struct Salt(TempDir);

impl Salt {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn options(&self) -> Table {
        let main = self.path().join("master");
        salt_config::load(Daemon::Master, &main).unwrap().options
    }

    fn error(&self) -> FileError {
        match self.master() {
            Err(SaltConfigError::Load(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    fn master(&self) -> Result<SaltMaster, SaltConfigError> {
        SaltMaster::load(self.path())
    }
}

#[test]
fn an_empty_directory_means_salts_defaults() {
    let master = Salt::with(&[]).master().unwrap();
    assert_eq!(master.pki_dir, Path::new("/etc/salt/pki/master"));
    assert_eq!(master.sign_key_name, "master_sign");
    assert!(master.id.is_none() && master.signature_name.is_none());
    assert!(!master.signs && !master.uses_file);
}

#[test]
fn a_file_of_comments_only_is_empty_however_long_it_is() {
    let comments = "##### Primary configuration settings #####\n#interface: 0.0.0.0\n".repeat(4000);
    let salt = Salt::with(&[("master", &comments), ("master.d/a.conf", "---\n")]);
    assert!(salt.options().iter().next().is_none());
}

#[test]
fn drop_ins_are_merged_with_each_other_and_override_the_main_file() {
    let salt = Salt::with(&[
        ("master", "list: [a]\nmap: {main: 1}\nkept: 1\n"),
        (
            "master.d/20-second.conf",
            "list: [c, b]\nmap: {second: 2}\n",
        ),
        (
            "master.d/10-first.conf",
            "list: [b]\nmap: {first: 1, deep: {x: [1]}}\n",
        ),
        ("master.d/30-third.conf", "map: {deep: {x: [2]}}\n"),
        ("master.d/.hidden.conf", "list: [hidden]\n"),
        ("master.d/other.txt", "list: [other]\n"),
    ]);
    let options = salt.options();
    assert_eq!(options.get("list"), Some(&json!(["b", "c"])));
    assert_eq!(
        options.get("map"),
        Some(&json!({"first": 1, "second": 2, "deep": {"x": [1, 2]}}))
    );
    assert_eq!(options.get("kept"), Some(&json!(1)));
}

#[test]
fn include_comes_after_the_drop_ins_and_is_relative_to_its_file() {
    let salt = Salt::with(&[
        ("master", "include: extra/*.conf\nid: main\nuser: main\n"),
        ("master.d/a.conf", "id: drop-in\nuser: drop-in\n"),
        ("extra/b.conf", "id: included\ninclude: [deeper/c.conf]\n"),
        ("extra/deeper/c.conf", "pki_dir: /from/c\nid: deepest\n"),
    ]);
    let master = salt.master().unwrap();
    assert_eq!(master.id.as_deref(), Some("deepest"));
    assert_eq!(master.user.as_deref(), Some("drop-in"));
    assert_eq!(master.pki_dir, Path::new("/from/c"));
    assert_eq!(master.sources.len(), 4);
}

#[test]
fn default_include_can_be_moved() {
    let salt = Salt::with(&[
        ("master", "default_include: conf/[!x]?.conf\n"),
        ("master.d/a.conf", "id: stock\n"),
        ("conf/a1.conf", "id: moved\n"),
        ("conf/x1.conf", "id: excluded\n"),
    ]);
    assert_eq!(salt.master().unwrap().id.as_deref(), Some("moved"));
}

#[test]
fn files_that_include_each_other_are_an_error_and_not_a_loop() {
    let salt = Salt::with(&[
        ("master", "include: a.conf\n"),
        ("a.conf", "include: b.conf\n"),
        ("b.conf", "include: a.conf\n"),
    ]);
    let error = salt.error();
    assert!(matches!(error, FileError::Cycle(_)), "{error}");
}

#[test]
fn yaml_words_for_true_are_understood_as_salt_does() {
    for (word, expected) in [
        ("True", true),
        ("true", true),
        ("yes", true),
        ("on", true),
        ("1", true),
        ("False", false),
        ("no", false),
        ("off", false),
        ("null", false),
        ("''", false),
        ("0", false),
    ] {
        let text = format!("master_sign_pubkey: {word}\n");
        let master = Salt::with(&[("master", &text)]).master().unwrap();
        assert_eq!(master.signs, expected, "{word}");
    }
}

/// Salt 3008.5, `salt/utils/yamlloader.py`: "found conflicting ID".
#[test]
fn a_key_given_twice_is_refused_as_salt_refuses_it() {
    let salt = Salt::with(&[("master", "id: first\nid: second\n")]);
    let FileError::Yaml { source, .. } = salt.error() else {
        panic!("{:?}", salt.error());
    };
    assert_eq!(source.to_string(), "a key that is there twice (line 2)");
}

#[test]
fn an_id_is_the_text_that_salt_makes_of_it() {
    for (written, id) in [
        ("007", "7"),
        ("0750", "750"),
        ("1.50", "1.5"),
        ("yes", "True"),
    ] {
        let text = format!("id: {written}\n");
        let master = Salt::with(&[("master", &text)]).master().unwrap();
        assert_eq!(master.id.as_deref(), Some(id));
    }
}

#[test]
fn a_list_keeps_what_a_later_file_repeats_within_itself() {
    let salt = Salt::with(&[
        ("master.d/a.conf", "list: [a]\n"),
        ("master.d/b.conf", "list: [b, a, b]\n"),
    ]);
    assert_eq!(salt.options().get("list"), Some(&json!(["a", "b", "b"])));
}

#[test]
fn a_missing_directory_names_the_option_that_gives_it() {
    let error = SaltMaster::load(Path::new("/nonexistent/salt")).unwrap_err();
    assert!(error.to_string().contains("--salt-config"), "{error}");
}

#[test]
fn keys_that_are_no_texts_do_not_stop_the_reading() {
    let salt = Salt::with(&[("master", "id: 12\nnodegroups: {1: a, 2: b}\n")]);
    assert_eq!(salt.master().unwrap().id.as_deref(), Some("12"));
}

#[test]
fn root_dir_is_put_before_every_path_that_is_not_below_it() {
    for (root, pki, expected) in [
        ("/", "/etc/salt/pki/master", "/etc/salt/pki/master"),
        (
            "/srv/salt",
            "/etc/salt/pki/master",
            "/srv/salt/etc/salt/pki/master",
        ),
        ("/srv/salt", "/srv/salt/pki", "/srv/salt/pki"),
        ("/srv/salt", "/srv/salted/pki", "/srv/salt/srv/salted/pki"),
        ("/srv/salt", "pki/master", "/srv/salt/pki/master"),
        ("/srv/salt/", "./pki/../keys/", "/srv/salt/keys"),
    ] {
        let text = format!("root_dir: {root}\npki_dir: {pki}\n");
        let master = Salt::with(&[("master", &text)]).master().unwrap();
        assert_eq!(master.pki_dir, Path::new(expected), "{root} {pki}");
    }
}

#[test]
fn append_domain_is_added_once() {
    for (id, expected) in [
        ("m1", "m1.example.org"),
        ("m1.example.org", "m1.example.org"),
        ("m1.", "m1."),
    ] {
        let text = format!("id: {id}\nappend_domain: example.org\n");
        let master = Salt::with(&[("master", &text)]).master().unwrap();
        assert_eq!(master.id.as_deref(), Some(expected));
    }
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    for (text, word) in [
        ("key_pass: sdb://vault/pass\n", "key_pass"),
        ("pki_dir: sdb://vault/dir\n", "pki_dir"),
        ("keys.cache_driver: redis\n", "redis"),
        ("keys.cache_driver: mysql\n", "mysql"),
        ("keys.cache_driver: etcd\n", "etcd"),
        (
            "cluster_id: east\ncluster_pki_dir: here\n",
            "cluster_pki_dir",
        ),
        (
            "cluster_id: east\ncluster_key_pass: sdb://x/y\n",
            "cluster_key_pass",
        ),
        ("root_dir: here\n", "root_dir"),
        ("pki_dir: [a]\n", "pki_dir"),
    ] {
        let error = Salt::with(&[("master", text)]).master().unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    let stock = "keys.cache_driver: localfs_key\ncluster_id:\n";
    assert!(Salt::with(&[("master", stock)]).master().is_ok());
}

#[test]
fn in_a_cluster_the_clusters_key_is_shown_and_the_signature_stays_in_pki_dir() {
    let text = "cluster_id: east\ncluster_pki_dir: /srv/cluster/../east\nroot_dir: /r\ncluster_key_pass: c\n\
                key_pass: m\n";
    let master = Salt::with(&[("master", text)]).master().unwrap();
    assert_eq!(master.key_name, "cluster");
    // Salt does not put this one below root_dir.
    assert_eq!(master.key_dir, std::path::Path::new("/srv/east"));
    assert_eq!(
        master.pki_dir,
        std::path::Path::new("/r/etc/salt/pki/master")
    );
    assert_eq!(master.key_pass.unwrap().expose_secret(), "c");
    let alone = Salt::with(&[("master", "cluster_id: east\n")])
        .master()
        .unwrap();
    assert_eq!(alone.key_dir, alone.pki_dir);
    let none = Salt::with(&[("master", "cluster_pki_dir: /srv\nkey_pass: m\n")])
        .master()
        .unwrap();
    assert_eq!((none.key_name, &none.key_dir), ("master", &none.pki_dir));
    assert_eq!(none.key_pass.unwrap().expose_secret(), "m");
}

#[test]
fn a_broken_file_is_named_by_line_and_not_quoted() {
    let salt = Salt::with(&[("master.d/bad.conf", "ok: 1\nsecret-word: [unclosed\n: }\n")]);
    let error = salt.error();
    let FileError::Yaml { source, .. } = &error else {
        panic!("{error:?}");
    };
    let text = format!("{error}: {source}");
    assert!(text.contains("line 3"), "{text}");
    assert!(text.contains("bad.conf"), "{text}");
    assert!(!format!("{text} {error:?}").contains("secret-word"));
}

#[test]
fn a_pipe_in_the_place_of_a_file_does_not_hang_the_reader() {
    let salt = Salt::with(&[("master.d/a.conf", "id: x\n")]);
    nix::unistd::mkfifo(
        &salt.path().join("master.d/b.conf"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    let error = salt.error();
    assert!(matches!(error, FileError::NotAFile(_)), "{error}");
}

#[test]
fn no_debug_output_shows_the_pass_phrase() {
    let salt = Salt::with(&[("master", "key_pass: open-sesame\n")]);
    assert!(!format!("{:?}", salt.master().unwrap()).contains("sesame"));
}

#[test]
fn the_lines_that_are_missing_are_told() {
    let salt = Salt::with(&[("master", "master_sign_pubkey: True\n")]);
    assert_eq!(
        salt.master()
            .unwrap()
            .missing_lines("master_pubkey_signature"),
        [
            "master_use_pubkey_signature: True",
            "master_pubkey_signature: master_pubkey_signature"
        ]
    );
}

#[test]
fn a_planned_drop_in_is_judged_with_all_others_and_before_it_is_there() {
    let salt = Salt::with(&[
        ("master", "master_sign_pubkey: False\n"),
        ("master.d/60-local.conf", "user: salt\n"),
    ]);
    let path = salt.path().join("master.d/50-ours.conf");
    let lines = "master_sign_pubkey: True\nmaster_use_pubkey_signature: True\n";
    let judged = || {
        let planned = Planned::new(&path, lines.to_owned()).unwrap();
        let salt = SaltMaster::load_planned(salt.path(), planned).unwrap();
        (salt.signs, salt.uses_file, salt.user)
    };
    assert_eq!(judged(), (true, true, Some("salt".to_owned())));
    assert!(!path.exists() && !salt.master().unwrap().signs);

    fs::write(&path, "master_sign_pubkey: False\n").unwrap();
    assert!(judged().0, "the planned content, not the one that is there");
    fs::write(
        salt.path().join("master.d/60-local.conf"),
        "master_use_pubkey_signature: False\n",
    )
    .unwrap();
    assert!(!judged().1, "a later file overrules it");
    fs::write(
        salt.path().join("master"),
        "default_include: other.d/*.conf\n",
    )
    .unwrap();
    assert!(!judged().0, "a directory that Salt does not read");
    let absolute = format!("include: {}/./master.d/5*.conf\n", salt.path().display());
    fs::write(salt.path().join("master"), absolute).unwrap();
    assert!(judged().0, "by whatever path it is included");
}
