"""Tests of the client, against real servers on loopback, and without Django."""
