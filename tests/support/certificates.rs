//! Keys and certificates for one run of the tests, made by the command `openssl`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;

use super::child::Process;

/// A folder with two authorities that do not know each other, and what they have signed.
#[derive(Debug)]
pub(crate) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes all of them. Each is valid for two days and names 127.0.0.1, not `localhost`.
    pub(super) fn make() -> Certificates {
        let certificates =
            Certificates { folder: tempfile::tempdir().expect("a temporary folder") };
        for authority in ["authority", "stranger-authority"] {
            certificates.sign(authority, &[]);
        }
        for (name, authority) in
            [("server", "authority"), ("client", "authority"), ("stranger", "stranger-authority")]
        {
            let [certificate, key] = [certificates.pem(authority), certificates.key(authority)];
            let signed_by = ["-CA", &certificate, "-CAkey", &key];
            let names = ["-addext", "subjectAltName=IP:127.0.0.1"];
            let is_no_authority = ["-addext", "basicConstraints=critical,CA:FALSE"];
            certificates.sign(name, &[signed_by.as_slice(), &names, &is_no_authority].concat());
        }
        certificates.chain("server");
        certificates
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a certificate: `authority`, `server`, `client`, `stranger`, …
    pub(crate) fn pem(&self, name: &str) -> String {
        self.path(&format!("{name}.pem"))
    }

    /// The path of its key.
    pub(crate) fn key(&self, name: &str) -> String {
        self.path(&format!("{name}.key"))
    }

    fn path(&self, file: &str) -> String {
        let path: PathBuf = self.folder.path().join(file);
        path.to_str().expect("a folder in UTF-8").to_owned()
    }

    fn sign(&self, name: &str, more: &[&str]) {
        let kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let mut openssl = Process::start("openssl", |command| {
            command
                .args(kind)
                .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
                .args(["-keyout", &self.key(name), "-out", &self.pem(name)])
                .args(more)
                .stdin(Stdio::null())
                .stderr(Stdio::null());
        });
        assert!(openssl.wait().success(), "openssl did not make the certificate {name}");
    }

    /// Key and certificate in one file, as Kafka reads them.
    fn chain(&self, name: &str) {
        let parts = [self.key(name), self.pem(name)];
        let parts = parts.map(|path| fs::read_to_string(path).expect("openssl wrote it"));
        fs::write(self.path(&format!("{name}.chain")), parts.concat()).expect("a file is written");
    }
}
