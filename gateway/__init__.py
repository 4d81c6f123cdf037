"""The live entrance for clients: Socket.IO and health."""
