"""The runtimes, one file each, named as the user types it (`-` written `_`)."""
