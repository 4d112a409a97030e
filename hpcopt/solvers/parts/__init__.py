"""Parts that several solvers share: line searches, step sizes, gossip, compressed means, group formation."""
