"""What the service is compared with: small apps that do the same work, each as its packages' documentation shows it."""
