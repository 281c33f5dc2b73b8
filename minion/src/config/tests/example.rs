//! The examples in `deploy/` are what this program reads and starts with.

use super::*;

const EXAMPLE: &str = include_str!("../../../../deploy/minion.example");
const UNIT: &str = include_str!("../../../../deploy/mastersign-minion.service");

#[test]
fn the_example_is_read_without_a_complaint() {
    let config = Salt::main(EXAMPLE).config();
    assert!(config.unknown.is_empty(), "{:?}", config.unknown);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.masters.len(), 3);
}

#[test]
fn every_default_that_the_example_shows_is_the_real_one() {
    let shown = format!("{:?}", normal(&Salt::main(EXAMPLE)));
    let mut defaults = 0;
    for line in EXAMPLE.lines() {
        let Some((option, _)) = line
            .strip_prefix('#')
            .and_then(|line| line.split_once(": "))
        else {
            continue;
        };
        let own = ["id", "user"].contains(&option);
        if own || option.contains(|c: char| !c.is_ascii_lowercase() && c != '_') {
            continue;
        }
        let with = EXAMPLE.replace(line, line.trim_start_matches('#'));
        assert_eq!(
            format!("{:?}", normal(&Salt::main(&with))),
            shown,
            "{option}"
        );
        defaults += 1;
    }
    assert_eq!(defaults, 29);
}

fn normal(salt: &Salt) -> Config {
    let directory = salt.path().to_owned();
    let mut config = salt.config();
    config.conf_file = config
        .conf_file
        .strip_prefix(&directory)
        .unwrap()
        .to_owned();
    config.sources.clear();
    config
}

#[test]
fn the_unit_starts_what_there_is() {
    let line = |name: &str| {
        UNIT.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
    };
    assert_eq!(line("ExecStart="), "/usr/bin/mastersign-minion run");
    assert_eq!(line("Type="), "notify");
    for path in ["/etc/salt", "/var/cache/salt/minion", "/var/log/salt"] {
        let (above, name) = path.rsplit_once('/').unwrap();
        let named = match above {
            "/etc" => line("ReadWritePaths=").to_owned(),
            "/var/log" => format!("/var/log/{}", line("LogsDirectory=")),
            _ => format!("/var/cache/{}", line("CacheDirectory=")),
        };
        assert_eq!(named, path, "{name}");
    }
}
