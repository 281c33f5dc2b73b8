//! Configurations that are accepted, and refusals with the words that help.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::*;

const TLS: &str =
    "[tls]\ncertificate = \"s.pem\"\nkey = \"/k\"\nmasters_ca = \"m\"\noperators_ca = \"o\"\n";
const HSM: &str =
    "[[hsm]]\nname = \"rack-1\"\nmodule = \"/m.so\"\ntoken_label = \"t\"\nkey_id = \"01\"\n";

/// A file, how its error begins after the file's name, and how it ends.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "stat_dir = \"/x\"\n",
        "line 1: unknown field `stat_dir`",
        "; did you mean `state_dir`?",
    ),
    (
        "\n[limits]\nheader_timout = \"1s\"\n",
        "line 3: ",
        "; did you mean `header_timeout`?",
    ),
    (
        "[limits]\nheader_timeout = 5\n",
        "line 2: invalid type: integer",
        "",
    ),
    (
        "[limits]\nheader_timeout = \"5\"\n",
        "line 2: a duration has a number and a unit",
        "",
    ),
    (
        "[limits]\nheader_timeout = \"1h\"\n",
        "line 2: the duration must lie between",
        "",
    ),
    (
        "[limits]\nconnections = 0\n",
        "line 2: the number must lie between 1 and 65536",
        "",
    ),
    (
        "[listen]\napi = \"localhost\"\n",
        "line 2: invalid socket address",
        "",
    ),
    (
        "[signing]\ndefault_algorithm = \"PKCS1v15-SHA256\"\n",
        "line 2: unknown value, expected `PKCS1v15-SHA1` or",
        "did you mean `PKCS1v15-SHA224`?",
    ),
    (
        "[signing.masters]\n\"a b\" = \"PKCS1v15-SHA1\"\n",
        "line 2: a name is 1 to 253",
        "",
    ),
    (
        "[log]\nformat = \"jsn\"\n",
        "line 2: unknown value, expected `json` or `text`",
        "did you mean `json`?",
    ),
    (
        "[log]\nfilter = \"a=b=c\"\n",
        "line 2: a filter is a level",
        "",
    ),
    (
        "[audit]\nhead_sink = \"syslog:log\"\n",
        "line 2: the sink of audit heads is `auto`",
        "",
    ),
    (
        "[store]\nid = \"production\"\n",
        "line 2: the id of a store is a UUID",
        "",
    ),
    (
        "[store]\nid = \"00000000-0000-0000-0000-000000000000\"\n",
        "line 2: the id of a store is a UUID",
        "",
    ),
    (
        "state_dir = \"/x\"\nstate_dir = \"/y\"\n",
        "line 2: duplicate key",
        "",
    ),
    (
        "[[hsm]]\nname = \"a\"\ntoken_lable = \"t\"\n",
        "line 3: ",
        "did you mean `token_label`?",
    ),
];

#[test]
fn no_refusal_repeats_a_value() {
    for line in [
        "[signing]\ndefault_algorithm",
        "[signing.masters]\nm1",
        "[log]\nformat",
        "[log]\nfilter",
        "[listen]\napi",
        "[store]\nid",
        "[audit]\nhead_sink",
        "[limits]\nrequests",
        "[limits]\nheader_timeout",
        "[hardening]\nrequired",
        "[[hsm]]\nsign_mechanism",
        "[[hsm]]\nprofile",
        "[[hsm]]\nname",
    ] {
        // Two equal signs make it no filter either.
        let error = Files::new(&format!("{line} = \"Hunter2=a=b\"\n")).load();
        let error = anyhow::Error::from(error.unwrap_err());
        let told = format!("{error:#} {error:?}");
        assert!(!told.contains("Hunter2"), "{told}");
    }
}

#[test]
fn defaults_are_filled_in_and_paths_are_absolute() {
    let files = Files::new(TLS);
    let config = files.load().unwrap();
    assert_eq!(config.path, files.main());
    assert_eq!(config.listen.api.to_string(), "0.0.0.0:8443");
    assert!(config.listen.ops.ip().is_loopback());
    assert_eq!(config.tls.certificate, files.main().with_file_name("s.pem"));
    assert_eq!(config.tls.key, Path::new("/k"));
    assert_eq!(
        config.store.path,
        Path::new("/var/lib/mastersign/mastersign.db")
    );
    assert_eq!(config.store.id, None);
    assert_eq!(config.signing.default_algorithm, Algorithm::Sha1);
    assert_eq!(config.limits.drain_timeout, Duration::from_secs(20));
    assert_eq!(config.log.filter, "info");
    assert_eq!(config.audit_head_sink, Sink::Auto);
    assert!(!config.hardening.allow_root && !config.hardening.required);
    assert!(config.hsms.is_empty());
}

#[test]
fn a_later_file_replaces_single_keys_and_adds_hsms() {
    let files = Files::new(&format!(
        "{TLS}[limits]\nconnections = 7\nheader_timeout = \"1s\"\n\
         [signing.masters]\na = \"PKCS1v15-SHA224\"\n{HSM}"
    ));
    files.write("conf.d/20-b.toml", "[limits]\nheader_timeout = \"3s\"\n");
    let second = HSM.replace("rack-1", "rack-2");
    files.write(
        "conf.d/10-a.toml",
        &format!(
            "[limits]\nheader_timeout = \"2s\"\n\
             [signing.masters]\nb = \"PKCS1v15-SHA224\"\n{second}"
        ),
    );
    files.write(
        "conf.d/15-store.toml",
        "[store]\nid = \"7d1c1b1e-5a52-4d4c-9f0a-3f1f2b8d6c11\"\n",
    );
    files.write("conf.d/16-root.toml", "[hardening]\nallow_root = true\n");
    files.write("conf.d/17-kernel.toml", "[hardening]\nrequired = true\n");
    files.write("conf.d/18-audit.toml", "[audit]\nhead_sink = \"log\"\n");
    files.write("conf.d/30-ignored.toml.bak", "nonsense");
    let config = files.load().unwrap();
    assert_eq!(config.limits.connections, 7);
    assert_eq!(config.limits.header_timeout, Duration::from_secs(3));
    assert_eq!(config.signing.masters.len(), 2);
    assert_eq!(config.audit_head_sink, Sink::Log);
    assert!(config.hardening.allow_root && config.hardening.required);
    let id = config.store.id.map(|id| id.to_string());
    assert_eq!(id.as_deref(), Some("7d1c1b1e-5a52-4d4c-9f0a-3f1f2b8d6c11"));
    let names: Vec<&str> = config.hsms.iter().map(|hsm| hsm.name.as_str()).collect();
    assert_eq!(names, ["rack-1", "rack-2"]);
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_line() {
    for &(text, start, end) in REFUSED {
        let files = Files::new(text);
        let error = files.load().unwrap_err().to_string();
        let expected = format!("{}, {start}", files.main().display());
        assert!(error.starts_with(&expected), "{error}\nexpected {expected}");
        assert!(error.ends_with(end), "{error}\nexpected {end}");
    }
}

#[test]
fn an_hsm_that_cannot_be_used_is_named_with_its_line() {
    let files = Files::new(&format!("{TLS}\n{}", HSM.replace("/m.so", "m.so")));
    let error = files.load().unwrap_err();
    assert!(
        error.to_string().ends_with("mastersign.toml, line 7"),
        "{error}"
    );
    let source = error.source().unwrap().to_string();
    assert!(
        source.contains("[[hsm]] \"rack-1\", key `module`"),
        "{source}"
    );
}

#[test]
fn one_name_for_two_hsms_is_refused_also_across_files() {
    let files = Files::new(&format!("{TLS}{HSM}"));
    files.write("conf.d/more.toml", HSM);
    let error = files.load().unwrap_err().to_string();
    assert!(
        error.contains("conf.d/more.toml, line 1: there is another [[hsm]]"),
        "{error}"
    );
}

#[test]
fn a_key_without_a_default_is_asked_for() {
    let files = Files::new(&TLS.replace("key = \"/k\"\n", ""));
    let error = files.load().unwrap_err().to_string();
    assert!(
        error.starts_with("the key `tls.key` is missing in "),
        "{error}"
    );
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    for (name, mode) in [("mastersign.toml", 0o620), ("conf.d/a.toml", 0o602)] {
        let files = Files::new(TLS);
        files.write("conf.d/a.toml", "");
        let path = files.directory.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        match files.load().unwrap_err() {
            ConfigError::Exposed {
                path: named,
                mode: found,
            } => {
                assert_eq!((named, found), (path, mode));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_value_at_the_wrong_place_is_not_repeated() {
    let files = Files::new("[limits]\nconnections = \"hunter2\"\n");
    assert!(!files.load().unwrap_err().to_string().contains("hunter2"));
    let files = Files::new("[[hsm]]\nname = \"a\"\npassword = \"hunter2\"\n");
    assert!(!files.load().unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn the_example_is_a_configuration_and_shows_the_defaults() {
    let example = include_str!("../../../deploy/mastersign.example.toml");
    let shown = Files::new(example).load().unwrap();
    let mut without = String::new();
    for line in example.lines() {
        let value = line.strip_prefix("# ").filter(|rest| {
            rest.contains(" = ") && !NOT_DEFAULT.iter().any(|key| rest.starts_with(key))
        });
        without.push_str(value.unwrap_or(line));
        without.push('\n');
    }
    assert!(without.contains("\nqueue = 256"), "{without}");
    let mut said = Files::new(&without).load().unwrap();
    said.path.clone_from(&shown.path);
    said.tls.clone_from(&shown.tls);
    assert_eq!(format!("{said:?}"), format!("{shown:?}"));
}

/// Keys of the example that have no default value.
const NOT_DEFAULT: [&str; 5] = [
    "id =",
    "masters =",
    "module_sha256 =",
    "public_key =",
    "sessions =",
];

/// A configuration in a directory of its own.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new(main: &str) -> Self {
        let files = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(files.directory.path().join("conf.d")).unwrap();
        files.write("mastersign.toml", main);
        files
    }

    fn main(&self) -> PathBuf {
        self.directory.path().join("mastersign.toml")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.main())
    }
}
