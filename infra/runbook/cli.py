"""The AWS CLI, version 1, begun once: each of its starts costs half a second of a processor, and the runbook has some two hundred.

It prints the port that it listens on, and ends with its input. A question is the number of arguments, the caller's folder, a name for what is printed, and
the arguments, each ended by a zero byte. A process of its own runs the command, as the program `aws` would, writes what is printed to NAME.out and
NAME.err, and answers with its status. Environment, Region and keys are those that this program was started with.
"""

import os
import select
import signal
import socket
import sys

from awscli import clidriver

# What the parent has read, no child reads again.
driver = clidriver.create_clidriver()
for service in ("cloudformation", "cloudwatch", "dynamodb", "lambda", "logs", "secretsmanager", "sqs"):
    driver.session.get_component("data_loader").load_service_model(service, "service-2")


def text(file):
    """Reads up to the next zero byte."""
    out = b""
    while (byte := file.read(1)) not in (b"\0", b""):
        out += byte
    return out.decode()


def carry_out(connection):
    with connection.makefile("rb") as file:
        count, folder, name = int(text(file)), text(file), text(file)
        args = [text(file) for _ in range(count)]
    os.chdir(folder)
    for number, path in ((0, os.devnull), (1, name + ".out"), (2, name + ".err")):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
    try:
        status = driver.main(args)
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(b"%d\n" % (status or 0))


signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                carry_out(connection)
            finally:
                os._exit(1)
        connection.close()
