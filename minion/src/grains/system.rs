//! Kernel and distribution.

use std::collections::BTreeMap;

use nix::sys::utsname::uname;

use super::{Grains, line_of};
use crate::wire::msgpack::Value;

pub(super) fn collect(grains: &mut Grains) {
    let mut machine = String::new();
    if let Ok(kernel) = uname() {
        let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
        machine = text(kernel.machine());
        grains.set("kernel", text(kernel.sysname()).as_str());
        grains.set("nodename", text(kernel.nodename()).as_str());
        grains.set("kernelrelease", text(kernel.release()).as_str());
        grains.set("kernelversion", text(kernel.version()).as_str());
        grains.set("cpuarch", machine.as_str());
    }
    let release = line_of("/etc/os-release").or_else(|| line_of("/usr/lib/os-release"));
    distribution(grains, &release.unwrap_or_default(), &machine);
}

pub(super) fn distribution(grains: &mut Grains, os_release: &str, machine: &str) {
    Distribution::parse(os_release).into_grains(grains, machine);
}

/// What `os-release` says (Salt 3008.5, `salt/grains/core.py`, `_linux_distribution_data`).
///
/// Where Salt distrusts that file, for distributions of before 2020, it reads a dozen others; those
/// are not read here.
#[derive(Debug, PartialEq, Eq)]
struct Distribution {
    os: String,
    family: String,
    codename: String,
    full_name: String,
    release: String,
}

impl Distribution {
    fn parse(text: &str) -> Self {
        let fields = fields(text);
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let name = fields.get("NAME").map_or("Linux", String::as_str).trim();
        let id = fields.get("ID").map_or("linux", String::as_str);
        let mut os = os(name, id);
        let mut codename = field("VERSION_CODENAME").to_owned();
        // Salt 3008.5: for the others it goes on to older sources, which agree with this file in
        // what it has, have a family of their own for each system, and a codename in any case.
        let family = if TRUSTED.contains(&id) {
            if matches!(id, "almalinux" | "rocky") && codename.is_empty() {
                codename = in_brackets(field("VERSION"));
            }
            capitalized(ancestor(id, field("ID_LIKE")))
        } else {
            if !fields.contains_key("VERSION_CODENAME") {
                field("PRETTY_NAME").clone_into(&mut codename);
            }
            let vendor = field("CPE_NAME").split(':').nth(2).unwrap_or_default();
            if matches!(vendor, "suse" | "opensuse") {
                "SUSE".clone_into(&mut os);
            }
            family_of(&os)
        };
        Self {
            family,
            codename,
            full_name: name.to_owned(),
            release: field("VERSION_ID").to_owned(),
            os,
        }
    }

    fn into_grains(self, grains: &mut Grains, machine: &str) {
        grains.set("os", self.os.as_str());
        grains.set("os_family", self.family.as_str());
        grains.set("osfullname", self.full_name.as_str());
        grains.set("osarch", architecture(&self.family, machine));
        if !self.codename.is_empty() {
            grains.set("oscodename", self.codename.as_str());
        }
        if self.release.is_empty() {
            return;
        }
        grains.set("osrelease", self.release.as_str());
        // Salt 3008.5, salt/grains/core.py, _osrelease_data.
        let parts = self
            .release
            .split('.')
            .map(|part| match part.parse::<u64>() {
                Ok(number) => Value::Unsigned(number),
                Err(_) => part.into(),
            });
        grains.set("osrelease_info", Value::Array(parts.collect()));
        let major = self.release.split('.').next().unwrap_or_default();
        grains.set_some("osmajorrelease", major.parse::<u64>().ok());
        let named_by_os = matches!(self.os.as_str(), "AlmaLinux" | "Debian" | "Raspbian");
        let name = if named_by_os {
            &self.os
        } else {
            &self.full_name
        };
        let whole = matches!(self.os.as_str(), "NixOS" | "Pop" | "Ubuntu");
        let release = if whole { &self.release } else { major };
        grains.set("osfinger", format!("{name}-{release}").as_str());
    }
}

/// The distributions whose `os-release` Salt relies on alone.
const TRUSTED: &[&str] = &[
    "almalinux",
    "astra",
    "debian",
    "linuxmint",
    "mendel",
    "pop",
    "rocky",
    "ubuntu",
];

/// `NAME="value"`, as a shell would read it.
fn fields(text: &str) -> BTreeMap<String, String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let fields = lines.filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim().to_owned(), unquoted(value.trim())))
    });
    fields.collect()
}

fn unquoted(value: &str) -> String {
    let quotes = ['"', '\''];
    let inner = quotes.iter().find_map(|quote| {
        let inner = value.strip_prefix(*quote)?;
        inner.strip_suffix(*quote)
    });
    let mut out = String::new();
    let mut characters = inner.unwrap_or(value).chars();
    while let Some(c) = characters.next() {
        out.extend(if c == '\\' {
            characters.next()
        } else {
            Some(c)
        });
    }
    out
}

/// Salt 3008.5, `salt/grains/core.py`, `_derive_os_grain`: the short names that Salt has always
/// used, else the name without `Linux`.
fn os(name: &str, id: &str) -> String {
    match (id, name) {
        ("astra", "Astra Linux (Orel)") => return "AstraLinuxCE".to_owned(),
        ("astra", "Astra Linux (Smolensk)") => return "AstraLinuxSE".to_owned(),
        ("pop", "Pop!_OS") => return "Pop".to_owned(),
        _ => {}
    }
    let distribution = without_linux(name);
    let short: String = distribution.replace(' ', "").to_lowercase();
    let short: String = short.chars().take(10).collect();
    let known = SHORT_NAMES.iter().find(|(begin, _)| *begin == short);
    known.map_or(distribution, |(_, os)| (*os).to_owned())
}

/// Without ` Linux`, ` GNU/Linux` or `-Linux`, in any case.
fn without_linux(name: &str) -> String {
    let mut rest = name.to_owned();
    for part in ["gnu/linux", "linux"] {
        while let Some(at) = rest.to_ascii_lowercase().find(part) {
            let (before, after) = rest.split_at_checked(at).unwrap_or_default();
            let before_word = before.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
            if before_word.len() == before.len() {
                break;
            }
            let after = after.get(part.len()..).unwrap_or_default();
            rest = format!("{before_word}{after}");
        }
    }
    rest.trim().to_owned()
}

/// The first ten letters of a distribution's name, and what Salt calls it.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("alibabaclo", "Alinux"),
    ("almalinux", "AlmaLinux"),
    ("alt", "ALT"),
    ("amazonami", "Amazon"),
    ("arch", "Arch"),
    ("archarm", "Arch ARM"),
    ("cloudlinux", "CloudLinux"),
    ("debian", "Debian"),
    ("enterprise", "OEL"),
    ("gentoobase", "Gentoo"),
    ("linuxmint", "Mint"),
    ("manjaro", "Manjaro"),
    ("neon", "KDE neon"),
    ("oracleserv", "OEL"),
    ("photon", "VMware Photon OS"),
    ("raspbian", "Raspbian"),
    ("redhatente", "RedHat"),
    ("rocky", "Rocky"),
    ("scientific", "ScientificLinux"),
    ("sles", "SUSE"),
    ("slesexpand", "RES"),
    ("univention", "Univention"),
    ("virtuozzo", "Virtuozzo"),
    ("void", "Void"),
];

/// Salt 3008.5, `salt/grains/core.py`, `_OS_FAMILY_MAP`, for what is still released.
fn family_of(os: &str) -> String {
    let family = match os {
        "ALT" | "Alinux" | "Amazon" | "CentOS" | "CentOS Stream" | "CloudLinux" | "Fedora"
        | "OEL" | "RES" | "RED OS" | "ScientificLinux" | "VMware Photon OS" | "Virtuozzo"
        | "XCP-ng" | "openEuler" => "RedHat",
        "Antergos" | "Arch ARM" | "EndeavourOS" | "Manjaro" => "Arch",
        "Cumulus" | "Deepin" | "Devuan" | "KDE neon" | "Kali" | "Parrot OS" | "Raspbian"
        | "TurnKey" | "Univention" | "antiX" | "elementary OS" => "Debian",
        "Funtoo" => "Gentoo",
        "SLED"
        | "SLES"
        | "SLES_SAP"
        | "SUSE"
        | "openSUSE"
        | "openSUSE Leap"
        | "openSUSE Tumbleweed" => "Suse",
        os => os,
    };
    family.to_owned()
}

/// The oldest distribution that this one comes from.
fn ancestor<'a>(id: &'a str, like: &'a str) -> &'a str {
    let mut line = std::iter::once(id).chain(like.split_whitespace());
    let is_debian = |id: &str| matches!(id, "debian" | "ubuntu");
    if !like.is_empty() && line.clone().any(is_debian) {
        return "debian";
    }
    line.next_back().unwrap_or(id)
}

fn capitalized(id: &str) -> String {
    if id == "fedora" {
        return "RedHat".to_owned();
    }
    let mut characters = id.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string());
    let rest = characters.as_str().to_lowercase();
    first.unwrap_or_default() + &rest
}

fn in_brackets(version: &str) -> String {
    let inner = version
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    inner.map_or("", |(inner, _)| inner).to_owned()
}

/// What `dpkg --print-architecture` says there; elsewhere the kernel's own word.
fn architecture<'a>(family: &str, machine: &'a str) -> &'a str {
    match (family, machine) {
        ("Debian", "x86_64") => "amd64",
        ("Debian", "aarch64") => "arm64",
        ("Debian", "armv7l") => "armhf",
        ("Debian", "i386" | "i586" | "i686") => "i386",
        ("Debian", "ppc64le") => "ppc64el",
        (_, machine) => machine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `os-release`, and what Salt makes of it.
    type System = (
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    );

    const SYSTEMS: &[System] = &[
        (
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
             VERSION_CODENAME=bookworm\nID=debian\n",
            "Debian",
            "Debian",
            "bookworm",
            "12",
        ),
        (
            "NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n",
            "Ubuntu",
            "Debian",
            "noble",
            "24.04",
        ),
        (
            "NAME=\"Rocky Linux\"\nVERSION=\"9.4 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n\
             VERSION_ID=\"9.4\"\n",
            "Rocky",
            "RedHat",
            "Blue Onyx",
            "9.4",
        ),
        (
            "NAME=\"AlmaLinux\"\nVERSION=\"9.4 (Seafoam Ocelot)\"\nID=almalinux\nID_LIKE=\"rhel centos fedora\"\n\
             VERSION_ID=9.4\n",
            "AlmaLinux",
            "RedHat",
            "Seafoam Ocelot",
            "9.4",
        ),
        (
            "NAME='Fedora Linux'\nID=fedora\nVERSION_ID=40\nVERSION_CODENAME=\"\"\nPRETTY_NAME='x'\n",
            "Fedora",
            "RedHat",
            "",
            "40",
        ),
        (
            "NAME=\"openSUSE Leap\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n\
             PRETTY_NAME=\"openSUSE Leap 15.6\"\nCPE_NAME=\"cpe:/o:opensuse:leap:15.6\"\n",
            "SUSE",
            "Suse",
            "openSUSE Leap 15.6",
            "15.6",
        ),
        (
            "NAME=\"Red Hat Enterprise Linux\"\nID=rhel\nVERSION_ID=9.4\nVERSION_CODENAME=Plow\n",
            "RedHat",
            "RedHat",
            "Plow",
            "9.4",
        ),
        (
            "NAME=\"Arch Linux\"\nID=arch\nPRETTY_NAME=\"Arch Linux\"\n",
            "Arch",
            "Arch",
            "Arch Linux",
            "",
        ),
        (
            "NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=22\n",
            "Mint",
            "Debian",
            "",
            "22",
        ),
        ("", "Linux", "Linux", "", ""),
    ];

    #[test]
    fn distributions_have_the_names_that_salt_gives_them() {
        for (text, os, family, codename, release) in SYSTEMS {
            let found = Distribution::parse(text);
            let seen = (
                found.os.as_str(),
                found.family.as_str(),
                found.codename.as_str(),
                found.release.as_str(),
            );
            assert_eq!(seen, (*os, *family, *codename, *release), "{text}");
        }
    }

    #[test]
    fn the_release_is_taken_apart() {
        let mut grains = Grains::default();
        let text = "NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\n";
        Distribution::parse(text).into_grains(&mut grains, "aarch64");
        for (name, expected) in [
            ("osarch", Value::from("arm64")),
            ("osfinger", "Ubuntu-24.04".into()),
            ("osmajorrelease", Value::Unsigned(24)),
            (
                "osrelease_info",
                Value::Array(vec![Value::Unsigned(24), Value::Unsigned(4)]),
            ),
        ] {
            let found = grains.0.iter().find(|(key, _)| key.as_text() == Some(name));
            assert_eq!(found.map(|(_, value)| value), Some(&expected), "{name}");
        }
    }
}
