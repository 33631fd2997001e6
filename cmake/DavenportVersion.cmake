# dp_write_version_header(): generate davenport/version.h in the build folder. The git description is read
# when CMake configures, so between two configures it may lag behind the tree.

function(dp_write_version_header)
  set(DP_GIT_DESCRIBE "")
  find_program(GIT_PROGRAM git)
  mark_as_advanced(GIT_PROGRAM)
  if(GIT_PROGRAM AND EXISTS "${PROJECT_SOURCE_DIR}/.git")
    execute_process(
      COMMAND "${GIT_PROGRAM}" --no-optional-locks describe --tags --always --dirty
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
      OUTPUT_VARIABLE DP_GIT_DESCRIBE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  configure_file(
    "${PROJECT_SOURCE_DIR}/cmake/version.h.in"
    "${PROJECT_BINARY_DIR}/generated/davenport/version.h" @ONLY)
endfunction()
