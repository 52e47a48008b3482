# SPDX-License-Identifier: Apache-2.0
"""What an httpd needs for TLS, but for its certificate: its VirtualHost names
cert.pem and key.pem of its folder."""
import subprocess

# Notices of mod_ssl at its start, and its warning of a certificate that nobody
# has signed.
NOTICES = ("AH01882|AH01873|AH10034|AH01906|AH01909", "AH10158|SSL Library")


def make_certificate(server, name="localhost"):
    """Fits prepare() of a test file."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         f"/CN={name}", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=server.dir, check=True, capture_output=True)
