# dp_web_pages(<layer>): add the pages of web/ to the library of a layer (web/build.mjs makes C of them).
#
# What they are made of besides our own sources comes from the npm registry, exactly as web/package-lock.json says, when CMake
# configures and web/node_modules is not there or older than that. With it in place nothing is asked for.

function(dp_web_packages web)
  set(marker "${web}/node_modules/.package-lock.json")
  if(EXISTS "${marker}" AND NOT "${web}/package-lock.json" IS_NEWER_THAN "${marker}")
    return()
  endif()
  # Several build folders may be configured at once.
  file(LOCK "${PROJECT_SOURCE_DIR}/build/web.lock" GUARD FUNCTION TIMEOUT 300)
  if(EXISTS "${marker}" AND NOT "${web}/package-lock.json" IS_NEWER_THAN "${marker}")
    return()
  endif()
  find_program(NPM_EXECUTABLE npm)
  mark_as_advanced(NPM_EXECUTABLE)
  if(NOT NPM_EXECUTABLE)
    message(FATAL_ERROR "web/node_modules is not there and npm neither: run scripts/setup build")
  endif()
  message(STATUS "web: installing its packages")
  execute_process(
    COMMAND "${NPM_EXECUTABLE}" ci --no-audit --no-fund --ignore-scripts --loglevel=error
    WORKING_DIRECTORY "${web}"
    RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "web: npm ci failed (${code}), and the pages cannot be made without its packages")
  endif()
  file(TOUCH "${marker}")
endfunction()

function(dp_web_pages layer)
  if(NOT TARGET davenport_${layer})
    return()
  endif()
  find_program(NODE_EXECUTABLE node)
  if(NOT NODE_EXECUTABLE)
    message(FATAL_ERROR "node is not there, which makes the pages of web/: run scripts/setup build")
  endif()
  set(web "${PROJECT_SOURCE_DIR}/web")
  dp_web_packages("${web}")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${web}/common/*" "${web}/report/*" "${web}/dashboard/*")
  set(made "${PROJECT_BINARY_DIR}/generated/pages.c")
  add_custom_command(
    OUTPUT "${made}"
    COMMAND "${NODE_EXECUTABLE}" "${web}/build.mjs" "${made}"
    DEPENDS "${web}/build.mjs" "${web}/package-lock.json" ${sources}
    COMMENT "Making the pages of web/"
    VERBATIM)
  target_sources(davenport_${layer} PRIVATE "${made}")
endfunction()
