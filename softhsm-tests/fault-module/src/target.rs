//! The real module.
//!
//! It is never unloaded: its function list is used until the process ends, and modules leave
//! threads behind that would return into unmapped code.

use std::path::Path;
use std::ptr;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CKR_OK};
use libloading::Library;

/// Loads the module and takes its function list.
pub(crate) fn load(path: &Path) -> Result<CK_FUNCTION_LIST, String> {
    // SAFETY: the file is a PKCS#11 module that the test chose; its initialisers are trusted as the
    // test trusts it.
    let library = unsafe { Library::new(path) }
        .map_err(|error| format!("cannot load {}: {error}", path.display()))?;
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: the symbol has this signature in every PKCS#11 module (v2.40, section 5.4).
    let function_list = unsafe {
        library
            .get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(b"C_GetFunctionList")
    }
    .map_err(|error| format!("{} is no PKCS#11 module: {error}", path.display()))?;
    let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
    // SAFETY: `list` may be written and outlives the call.
    let answer = unsafe { function_list(&raw mut list) };
    if answer != CKR_OK || list.is_null() {
        return Err(format!(
            "C_GetFunctionList of {} answered {answer:#x}",
            path.display()
        ));
    }
    // SAFETY: not null; the module keeps its list, whose layout is fixed since v2.01, as long as it
    // is loaded, and that is to the end of the process.
    Ok(unsafe { list.read() })
}
