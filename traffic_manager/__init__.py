"""The manager role: it knows servers, workers, regions and viewers from reports, decides how many
relays there are, what each may send and which worker encodes what, and tells players where to go.
It calls no media server and no worker."""
