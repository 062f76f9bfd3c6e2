"""The manager role: it knows servers, regions and viewers from reports, decides how many relays
there are and what each may send, and tells players where to go. It never calls a media server."""
