//! The haemodynamic response.
