# SPDX-License-Identifier: Apache-2.0
"""A ZooKeeper of the test's own: how it is configured, started and asked."""
import socket

JAR = "/usr/share/java/zookeeper.jar"  # Debian's; its manifest names the others

# Sessions last at least two ticks, so those of the dead end soon.
CONFIGURATION = """\
tickTime=1000
dataDir={folder}/data
clientPort={port}
clientPortAddress={address}
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


def command(folder, port, address="127.0.0.1"):
    """What starts one that keeps its data in that folder."""
    configuration = folder / "zoo.cfg"
    configuration.write_text(CONFIGURATION.format(
        folder=folder, port=port, address=address))
    return ["/usr/bin/java", "-Xmx64m", "-Xss256k", "-XX:+UseSerialGC",
            "-Xshare:auto", "-XX:TieredStopAtLevel=1",
            "-Dzookeeper.forceSync=no", "-cp", JAR,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(configuration)]


def report(port):
    """What it says of itself; nothing while it doesn't serve."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as asked:
            asked.sendall(b"srvr")
            return asked.makefile().read()
    except OSError:
        return ""


def serves(port):
    """Whether it does, as it says: a port that accepts isn't enough."""
    return "Mode: " in report(port)
