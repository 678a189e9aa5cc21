//! Tenants that always have work get what their weights say.
