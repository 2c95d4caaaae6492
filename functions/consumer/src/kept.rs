//! What is kept outside of queue and table, where this build can: large arguments, others' objects, and results where others' clients look.

use std::sync::Arc;

use errand_core::{DynForeignObjects, DynObjects, DynResultBackend, Environment, Init, SettingsError};
use errand_http::aws::SdkConfig;

/// Where arguments are that no queue can carry, if `ERRAND_BUCKET` names it.
pub(crate) fn objects(env: &Environment, sdk: &SdkConfig) -> Option<Arc<dyn DynObjects>> {
    #[cfg(feature = "claim-check")]
    return errand_object_s3::S3Objects::from_env(env, sdk).map(|objects| Arc::new(objects) as _);
    #[cfg(not(feature = "claim-check"))]
    {
        let _ = (env, sdk);
        None
    }
}

/// What reads the objects that others' messages point to.
pub(crate) fn foreign_objects(sdk: &SdkConfig) -> Option<Arc<dyn DynForeignObjects>> {
    #[cfg(feature = "claim-check")]
    return Some(Arc::new(errand_object_s3::S3ForeignObjects::new(sdk)));
    #[cfg(not(feature = "claim-check"))]
    {
        let _ = sdk;
        None
    }
}

/// Where Celery's clients look for results, if `ERRAND_CELERY_RESULT_BACKEND` says.
///
/// # Errors
/// The setting is wrong, or this build has no result backend.
pub(crate) fn results(env: &Environment, cx: &Init) -> Result<Option<Arc<dyn DynResultBackend>>, SettingsError> {
    #[cfg(feature = "celery-results")]
    return Ok(errand_result_redis::Redis::from_env(env, cx)?.map(|redis| Arc::new(redis) as _));
    #[cfg(not(feature = "celery-results"))]
    {
        use errand_core::settings::all::CELERY_RESULT_BACKEND;
        let _ = cx;
        match env.get(&CELERY_RESULT_BACKEND) {
            None => Ok(None),
            Some(_) => Err(SettingsError::invalid(CELERY_RESULT_BACKEND.name, "build with the feature celery-results")),
        }
    }
}
