//! System calls that neither the service nor anything that it starts ever makes (seccomp).
//!
//! A list of what is refused and not of what is allowed: the workers run vendors' libraries, and a
//! list of all that those may need would be wrong for the next version of one. What is on it has no
//! use in a signing service and much use to whoever took it: reading another process's memory, the
//! kernel's keyrings, namespaces, and the parts of the kernel whose bugs are used most. A refused
//! call answers EPERM, as in the unit (`SystemCallErrorNumber`), and the caller goes on.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompFilter, TargetArch, apply_filter,
    apply_filter_all_threads,
};

/// Refuses them to this thread and to everything that it starts from here on, for good.
///
/// # Errors
///
/// Fails if the kernel has no seccomp, or will not take the filter.
pub(super) fn refuse() -> Result<(), Error> {
    apply_filter(&program(REFUSED)?)
}

/// Refuses to every thread of this process to become another program.
///
/// # Errors
///
/// As [`refuse`], and if a thread has another filter than this one.
pub(super) fn refuse_programs() -> Result<(), Error> {
    apply_filter_all_threads(&program(&[libc::SYS_execve, libc::SYS_execveat])?)
}

fn program(refused: &[libc::c_long]) -> Result<BpfProgram, BackendError> {
    // A number without a rule is refused whatever the arguments are.
    let mut rules: BTreeMap<i64, Vec<_>> = refused.iter().map(|call| (*call, Vec::new())).collect();
    if cfg!(target_arch = "x86_64") {
        // The same calls under the numbers of the x32 ABI, which seccomp takes for the same machine.
        rules.extend(refused.iter().map(|call| (call | X32, Vec::new())));
    }
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(EPERM),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?
    .try_into()
}

const EPERM: u32 = libc::EPERM.unsigned_abs();
/// `__X32_SYSCALL_BIT` of the kernel's headers.
const X32: i64 = 0x4000_0000;

/// By what they would be for.
const REFUSED: &[libc::c_long] = &[
    // Other processes.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    // Keys of other sessions.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // What the kernel is attacked through.
    libc::SYS_bpf,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // The kernel itself.
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    // File systems and namespaces.
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // The machine.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_quotactl,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use nix::errno::Errno;
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    /// A thread of its own, because a filter is for good.
    fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().unwrap()
    }

    #[test]
    fn a_refused_call_answers_eperm_and_all_others_go_on() {
        // Everybody may have a file table of his own.
        let free = alone(|| unshare(CloneFlags::CLONE_FILES));
        assert_eq!(free, Ok(()));
        let child = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            let status = command.args(&words[1..]).stderr(Stdio::null()).status();
            status.unwrap().success()
        };
        // This asks for nothing, and is allowed to everybody.
        let unshares = ["unshare", "--fork", "true"];
        assert!(child(&unshares));
        alone(move || {
            refuse().unwrap();
            let refused = unshare(CloneFlags::CLONE_FILES);
            assert_eq!(refused, Err(Errno::EPERM));
            assert!(!child(&unshares), "a child is held to it too");
            assert!(child(&["true"]), "what the list does not have goes on");
        });
    }

    #[test]
    fn the_numbers_of_the_x32_abi_are_no_way_around() {
        let program = program(&[libc::SYS_ptrace]).unwrap();
        let compared = |number: i64| {
            let number = u32::try_from(number).unwrap();
            program.iter().any(|instruction| instruction.k == number)
        };
        assert!(compared(libc::SYS_ptrace));
        assert_eq!(
            compared(libc::SYS_ptrace | X32),
            cfg!(target_arch = "x86_64")
        );
    }
}
