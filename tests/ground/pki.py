"""Certificates and kubeconfig files, by openssl: one CA, ECDSA everywhere (a certificate takes 10 ms, not 300).

For tests only: one CA signs for servers, clients and the front proxy alike.
"""

from pathlib import Path

from ground.shell import run

_DAYS = "3650"


class Pki:
    """A folder of `NAME.crt`, `NAME.key` and `NAME.conf` (kubeconfig), with its CA made at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        # A configuration of our own: the system's adds extensions (CA:TRUE) behind our back
        (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
        if not self.crt("ca").exists():
            usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
            self._request("ca", "/CN=ground-ca", "basicConstraints=critical,CA:TRUE", usage)

    def crt(self, name: str) -> Path:
        """Return the path of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Return the path of a private key."""
        return self.folder / f"{name}.key"

    def conf(self, name: str) -> Path:
        """Return the path of a kubeconfig file."""
        return self.folder / f"{name}.conf"

    def server(self, name: str, subject: str, *alternative_names: str) -> None:
        """Make a server certificate; names look like `DNS:localhost` or `IP:127.0.0.1`."""
        self._sign(name, subject, "serverAuth", f"subjectAltName={','.join(alternative_names)}")

    def client(self, name: str, user: str, *groups: str) -> None:
        """Make a client certificate; Kubernetes takes user and groups from its subject."""
        self._sign(name, "".join(f"/O={group}" for group in groups) + f"/CN={user}", "clientAuth")

    def key_pair(self, name: str) -> None:
        """Make a bare key, NAME.key and NAME.pub (ServiceAccount tokens)."""
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self.key(name)))
        run("openssl", "ec", "-in", str(self.key(name)), "-pubout", "-out", str(self.folder / f"{name}.pub"))

    def kubeconfig(self, name: str, url: str, user: str) -> Path:
        """Write NAME.conf, which logs in at `url` with the client certificate `user`."""
        # Certificates are named relative to the file, so that it works wherever they lie together
        self.conf(name).write_text(
            f"""apiVersion: v1
kind: Config
clusters: [{{name: ground, cluster: {{server: "{url}", certificate-authority: ca.crt}}}}]
users: [{{name: {user}, user: {{client-certificate: {user}.crt, client-key: {user}.key}}}}]
contexts: [{{name: ground, context: {{cluster: ground, user: {user}}}}}]
current-context: ground
"""
        )
        return self.conf(name)

    def _sign(self, name: str, subject: str, usage: str, *extensions: str) -> None:
        ca = ["-CA", str(self.crt("ca")), "-CAkey", str(self.key("ca"))]
        common = (
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            f"extendedKeyUsage={usage}",
        )
        # Python from 3.13 refuses a chain without the authority's key identifier
        self._request(name, subject, *common, "authorityKeyIdentifier=keyid", *extensions, options=ca)

    def _request(self, name: str, subject: str, *extensions: str, options: list[str] | None = None) -> None:
        command = ["openssl", "req", "-x509", "-config", str(self.folder / "openssl.cnf"), "-days", _DAYS, "-nodes"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", subject]
        command += ["-keyout", str(self.key(name)), "-out", str(self.crt(name)), *(options or [])]
        for extension in ("subjectKeyIdentifier=hash", *extensions):
            command += ["-addext", extension]
        run(*command)


def control_plane_pki(folder: Path, *, names: tuple[str, ...], url: str) -> Pki:
    """Make everything that a control plane needs; `names` are the API server's own, `admin.conf` logs in at `url`."""
    pki = Pki(folder)
    pki.server("apiserver", "/CN=kube-apiserver", *names)
    pki.client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
    pki.client("front-proxy-client", "front-proxy-client")
    pki.client("admin", "admin", "system:masters")
    pki.key_pair("sa")
    pki.kubeconfig("admin", url, "admin")
    return pki
