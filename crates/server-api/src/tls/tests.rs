use super::*;
use crate::testing::Authority;

#[track_caller]
fn check_refused(files: TlsFiles, beginning: &str) {
    let error = Tls::load(files).unwrap_err().to_string();
    assert!(error.starts_with(beginning) && !error.contains('\n'), "{error}");
}

#[test]
fn files_that_cannot_be_used_say_which_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let good = authority.write(directory.path(), &authority.certify("server"), Some(&authority));
    Tls::load(good.clone()).unwrap();

    let garbage = directory.path().join("garbage");
    std::fs::write(&garbage, "garbage").unwrap();
    let missing = directory.path().join("missing");
    for bad in [&garbage, &missing] {
        check_refused(TlsFiles { certificate: bad.clone(), ..good.clone() }, "failed to load TLS key pair");
        check_refused(TlsFiles { key: bad.clone(), ..good.clone() }, "failed to load TLS key pair");
    }
    let authorities = |path: &PathBuf| Some(ClientAuthorities::File(path.clone()));
    check_refused(
        TlsFiles { client_authorities: authorities(&missing), ..good.clone() },
        "failed to load TLS client ca certificate",
    );
    check_refused(
        TlsFiles { client_authorities: authorities(&garbage), ..good },
        "failed to append TLS client certificate",
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.write(directory.path(), &authority.certify("server"), None);
    std::fs::write(&files.key, authority.certify("server").key).unwrap();
    check_refused(files, "failed to load TLS key pair");
}

#[test]
fn no_key_material_ends_in_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.write(directory.path(), &authority.certify("server"), None);
    let key = std::fs::read_to_string(&files.key).unwrap().replace("PRIVATE", "SECRET");
    std::fs::write(&files.key, &key).unwrap();
    let error = Tls::load(files).unwrap_err();
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{error} {error:?}").contains(secret));
}
