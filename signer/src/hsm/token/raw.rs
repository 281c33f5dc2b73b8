//! The calls that go around cryptoki: the only file with `unsafe` code in this crate.
//!
//! Three calls of the hot path and of discovery are made straight through the module's function
//! list. `sign()` of cryptoki 0.12 asks for the size first, a whole round trip more with a module
//! that talks over a network; and its `get_token_info()` gives up on a token whose clock is not
//! made of digits. Everything else goes through cryptoki.
//!
//! cryptoki does not show its function list, so the module is loaded a second time: the loader
//! answers with the same image and the same state. `p11-kit-client.so` is the exception, it gives
//! each caller of `C_GetFunctionList` an instance of its own; then there is no [`Raw`], and
//! cryptoki's slower calls have to do.
#![expect(
    unsafe_code,
    reason = "PKCS#11 is a C interface, and cryptoki does not offer these calls"
)]

use std::ffi::CString;
use std::fmt;
use std::path::Path;
use std::ptr::NonNull;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error as CryptokiError, Rv, RvError};
use cryptoki_sys::{
    CK_C_GetFunctionList, CK_C_GetTokenInfo, CK_C_Sign, CK_C_SignInit, CK_FUNCTION_LIST, CK_INFO,
    CK_MECHANISM, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID,
    CK_TOKEN_INFO, CK_ULONG,
};

use super::error::Error;

/// Function pointers into a module that is initialised and never unloaded.
#[derive(Clone, Copy)]
pub(super) struct Raw {
    get_token_info: CK_C_GetTokenInfo,
    sign_init: CK_C_SignInit,
    sign: CK_C_Sign,
}

impl Raw {
    /// Looks up the calls in the module that cryptoki has loaded from `path` and initialised.
    ///
    /// There are none if the module gives this second caller an instance of its own.
    pub(super) fn new(path: &Path) -> Option<Self> {
        // SAFETY: the very file was loaded by cryptoki before, so its initialisers have run and do
        // not run again.
        let library = unsafe { libloading::Library::new(path) }.ok()?;
        // Leaked: vendors' libraries keep threads and exit handlers, so the code must stay where it
        // is.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        // SAFETY: PKCS#11 gives this symbol this type in all its versions.
        let symbol = unsafe { library.get::<CK_C_GetFunctionList>(b"C_GetFunctionList\0") };
        let get_function_list = (*symbol.ok()?)?;
        let mut list = std::ptr::null_mut();
        // SAFETY: `list` is a valid place for the one pointer that the function stores.
        let rv = unsafe { get_function_list(&raw mut list) };
        if rv != cryptoki_sys::CKR_OK || list.is_null() {
            return None;
        }
        // SAFETY: the module answered CKR_OK, so `list` points to its function list, which lives as
        // long as the library; the copy does not rely on its alignment.
        let list: CK_FUNCTION_LIST = unsafe { std::ptr::read_unaligned(list) };
        let get_info = list.C_GetInfo?;
        let mut info = CK_INFO::default();
        // SAFETY: `info` is a valid place for the structure that the function fills.
        let rv = unsafe { get_info(&raw mut info) };
        (rv == cryptoki_sys::CKR_OK).then_some(Self {
            get_token_info: list.C_GetTokenInfo,
            sign_init: list.C_SignInit,
            sign: list.C_Sign,
        })
    }

    /// `C_GetTokenInfo`.
    pub(super) fn token_info(self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, Error> {
        let call = present(self.get_token_info, Function::GetTokenInfo)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: `info` is a valid place for the structure that the function fills; a slot that
        // does not exist is the module's to refuse.
        let rv = unsafe { call(slot, &raw mut info) };
        check(rv, Function::GetTokenInfo)?;
        Ok(info)
    }

    /// `C_SignInit` and `C_Sign` into `out`, which has the signature's length before and holds the
    /// signature after.
    ///
    /// After an error the operation may still be active in the session: the caller must not use it
    /// again.
    pub(super) fn sign(
        self,
        session: CK_SESSION_HANDLE,
        key: CK_OBJECT_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let sign_init = present(self.sign_init, Function::SignInit)?;
        let sign = present(self.sign, Function::Sign)?;
        let data_length = length(data)?;
        let mut signature_length = length(out)?;
        let mut mechanism = CK_MECHANISM {
            mechanism,
            ..CK_MECHANISM::default()
        };
        // SAFETY: `mechanism` is valid for the call and has no parameter; handles that mean nothing
        // are the module's to refuse.
        let rv = unsafe { sign_init(session, &raw mut mechanism, key) };
        check(rv, Function::SignInit)?;
        // SAFETY: `data` is readable and `out` is writable for the lengths given; the module does
        // not write to `data`, the C declaration merely lacks the const.
        let rv = unsafe {
            sign(
                session,
                data.as_ptr().cast_mut(),
                data_length,
                out.as_mut_ptr(),
                &raw mut signature_length,
            )
        };
        check(rv, Function::Sign)?;
        out.truncate(usize::try_from(signature_length).unwrap_or(usize::MAX));
        Ok(())
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw")
    }
}

/// Initialises the module with locking by the operating system and, for the modules that want it, a
/// reserved string.
pub(super) fn initialize(module: &Pkcs11, init_args: Option<CString>) -> Result<(), CryptokiError> {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    // Leaked: a module may look at the string again for as long as it is loaded.
    let reserved = init_args.and_then(|text| NonNull::new(text.into_raw().cast()));
    module.initialize(match reserved {
        // SAFETY: modules that take a reserved argument take a C string, and this one is never
        // freed.
        Some(text) => unsafe { CInitializeArgs::new_with_reserved(flags, text) },
        None => CInitializeArgs::new(flags),
    })
}

fn present<T>(call: Option<T>, function: Function) -> Result<T, Error> {
    call.ok_or_else(|| Error::call(function, RvError::FunctionNotSupported))
}

fn length(bytes: &[u8]) -> Result<CK_ULONG, Error> {
    CK_ULONG::try_from(bytes.len()).map_err(|_| Error::call(Function::Sign, RvError::DataLenRange))
}

fn check(rv: CK_RV, function: Function) -> Result<(), Error> {
    match Rv::from(rv) {
        Rv::Ok => Ok(()),
        Rv::Error(rv) => Err(Error::call(function, rv)),
    }
}
