"""The registry for people: pages at `/ui`, made on the server, without a script and with nothing from other hosts."""
