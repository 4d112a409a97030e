"""What several solvers share: line searches, step sizes, gossip, compressed means, who averages with whom."""
