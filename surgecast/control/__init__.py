"""What processes tell one another: the reports of servers, the directives in the answers to them,
their versions, and the loop that sends the one and keeps the other."""
