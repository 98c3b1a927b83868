"""The client of the select tutorials, on two sockets: sends in parts, without line ends, and reads after each. multiclient.py PORT"""
import socket
import sys

messages = ["This is the message. ", "It will be sent ", "in parts."]
server_address = ("127.0.0.1", int(sys.argv[1]))
socks = [socket.create_connection(server_address), socket.create_connection(server_address)]
for message in messages:
    outgoing_data = message.encode()
    for s in socks:
        s.send(outgoing_data)
    for s in socks:
        data = s.recv(1024)
        print(f"received {data!r}", flush=True)
for s in socks:
    s.close()
