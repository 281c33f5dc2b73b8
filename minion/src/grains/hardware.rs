//! Processors, memory and what the firmware says.

use super::{Grains, line_of};

pub(super) fn collect(grains: &mut Grains) {
    let processors = Processors::parse(&line_of("/proc/cpuinfo").unwrap_or_default());
    grains.set("num_cpus", processors.count);
    grains.set("cpu_model", processors.model.as_str());
    grains.set_list("cpu_flags", &processors.flags);
    let memory = line_of("/proc/meminfo").unwrap_or_default();
    grains.set("mem_total", mebibytes(&memory, "MemTotal"));
    grains.set("swap_total", mebibytes(&memory, "SwapTotal"));
    firmware(grains);
}

/// Salt 3008.5, `salt/grains/core.py`, `_linux_cpudata`.
#[derive(Debug, PartialEq, Eq)]
struct Processors {
    count: u64,
    model: String,
    flags: Vec<String>,
}

impl Processors {
    fn parse(cpuinfo: &str) -> Self {
        let mut found = Self {
            count: 0,
            model: "Unknown".to_owned(),
            flags: Vec::new(),
        };
        for line in cpuinfo.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            // What follows a second colon is not looked at.
            let value = value.split(':').next().unwrap_or_default().trim();
            match key.trim() {
                "processor" => found.count = found.count.saturating_add(1),
                "# processors" => found.count = value.parse().unwrap_or(found.count),
                "vendor_id" | "model name" | "cpu" => value.clone_into(&mut found.model),
                "flags" | "Features" => {
                    found.flags = value.split_whitespace().map(str::to_owned).collect();
                }
                "Processor" => {
                    let model = value.split('-').next().unwrap_or_default();
                    model.clone_into(&mut found.model);
                    found.count = 1;
                }
                _ => {}
            }
        }
        found
    }
}

/// Salt 3008.5, `salt/grains/core.py`, `_linux_memdata`.
fn mebibytes(meminfo: &str, wanted: &str) -> u64 {
    let mut lines = meminfo.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.trim() == wanted);
    let kibibytes = found.and_then(|(_, value)| value.split_whitespace().next()?.parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes >> 10)
}

/// Salt 3008.5, `salt/grains/core.py`, `_hw_data`: where the kernel shows it; some of it to root
/// only.
fn firmware(grains: &mut Grains) {
    for (name, file) in [
        ("biosversion", "bios_version"),
        ("biosvendor", "bios_vendor"),
        ("boardname", "board_name"),
        ("productname", "product_name"),
        ("manufacturer", "sys_vendor"),
        ("biosreleasedate", "bios_date"),
        ("uuid", "product_uuid"),
        ("serialnumber", "product_serial"),
    ] {
        let value = line_of(&format!("/sys/class/dmi/id/{file}"));
        let value = value.map(|value| {
            if name == "uuid" {
                value.to_lowercase()
            } else {
                value
            }
        });
        grains.set_some(name, value.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_several_architectures_are_counted() {
        for (cpuinfo, count, model, flags) in [
            (
                "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: A: B\nflags\t\t: fpu vme\n\n\
                 processor\t: 1\nvendor_id\t: GenuineIntel\nmodel name\t: A: B\nflags\t\t: fpu vme\n",
                2,
                "A",
                &["fpu", "vme"][..],
            ),
            (
                "vendor_id       : IBM/S390\n# processors    : 3\n",
                3,
                "IBM/S390",
                &[],
            ),
            (
                "Processor\t: ARMv6-compatible\nFeatures\t: swp half\n",
                1,
                "ARMv6",
                &["swp", "half"],
            ),
            (
                "processor\t: 0\ncpu\t\t: POWER9 (architected)\n",
                1,
                "POWER9 (architected)",
                &[],
            ),
            ("nothing", 0, "Unknown", &[]),
        ] {
            let expected = Processors {
                count,
                model: model.to_owned(),
                flags: flags.iter().copied().map(str::to_owned).collect(),
            };
            assert_eq!(Processors::parse(cpuinfo), expected);
        }
    }

    #[test]
    fn memory_is_in_mebibytes() {
        let meminfo = "MemTotal:       24683520 kB\nMemFree: 1 kB\nSwapTotal:  1023 kB\n";
        assert_eq!(mebibytes(meminfo, "MemTotal"), 24105);
        assert_eq!(mebibytes(meminfo, "SwapTotal"), 0);
        assert_eq!(mebibytes("", "MemTotal"), 0);
    }
}
