"""Drivers, one folder for each kind of service, and the contracts they fulfil."""
