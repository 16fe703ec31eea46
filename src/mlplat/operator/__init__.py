"""The operator: each ModelDeployment becomes a Deployment that serves, its Service, its autoscaler and its disruption budget."""
