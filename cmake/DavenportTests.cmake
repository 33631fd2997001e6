# Tests: one cmocka program for each tests/<layer>/test_*.c, and one way to register anything with ctest.
#
# A build folder registers all tests, or only those of one label (DAVENPORT_TESTS=threads, which the thread
# sanitizer uses: code that never starts a thread has nothing to tell it; DAVENPORT_TESTS=fuzz), or none.

# What the sanitizers' runtimes are told. handle_*=2 keeps their reports although cmocka installs signal
# handlers of its own.
set(DP_TEST_ENVIRONMENT
  "ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2"
  "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1"
  "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp:halt_on_error=1:second_deadlock_stack=1:history_size=4:handle_segv=2:handle_sigbus=2")

# dp_wants_test(<variable> [<label>...]): is a test with these labels built in this build folder?
function(dp_wants_test variable)
  set(wanted FALSE)
  if(DAVENPORT_TESTS STREQUAL "all" OR DAVENPORT_TESTS IN_LIST ARGN)
    set(wanted TRUE)
  endif()
  set(${variable} ${wanted} PARENT_SCOPE)
endfunction()

# dp_add_test(NAME <name> COMMAND <command>... [LABELS <label>...] [TIMEOUT <seconds>]
#             [WORKING_DIRECTORY <folder>] [ENVIRONMENT <NAME=value>...] [PROCESSORS <n>] [SERIAL] [TWICE])
#   Register a test as <prefix><name>, with the sanitizers' environment, if this build folder wants its
#   labels. TIMEOUT is 400 unless given: it is for a hang, not for a machine that is slow. TWICE: what fails is
#   run once more (tests/e2e/attempt), each run within TIMEOUT.
function(dp_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL;TWICE" "NAME;TIMEOUT;WORKING_DIRECTORY;PROCESSORS"
    "COMMAND;LABELS;ENVIRONMENT")
  dp_wants_test(wanted ${arg_LABELS})
  if(NOT wanted)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 400)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  if(NOT arg_WORKING_DIRECTORY)
    set(arg_WORKING_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
  endif()
  set(name "${DAVENPORT_TEST_PREFIX}${arg_NAME}")
  if(arg_TWICE)
    list(PREPEND arg_COMMAND "${PROJECT_SOURCE_DIR}/tests/e2e/attempt" "${PROJECT_BINARY_DIR}/unsteady" "${name}" ${arg_TIMEOUT})
    math(EXPR arg_TIMEOUT "2 * ${arg_TIMEOUT} + 60")
  endif()
  add_test(NAME "${name}" COMMAND ${arg_COMMAND} WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}")
  set_tests_properties("${name}" PROPERTIES
    TIMEOUT ${arg_TIMEOUT}
    PROCESSORS ${arg_PROCESSORS}
    LABELS "${arg_LABELS}"
    ENVIRONMENT "${DP_TEST_ENVIRONMENT};${arg_ENVIRONMENT}")
  if(arg_SERIAL)
    set_tests_properties("${name}" PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

# dp_test_support(): the library of tests/support/*.c (stream doubles, virtual clocks). It links no layer:
# a test pulls in only the objects it uses, and its own layer resolves them. So a double for `net` costs a
# test of `core` nothing.
function(dp_test_support)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.c")
  if(NOT sources)
    return()
  endif()
  add_library(davenport_support STATIC ${sources})
  dp_own_sources(davenport_support)
  target_include_directories(davenport_support PUBLIC "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(davenport_support PUBLIC
    PkgConfig::cmocka PkgConfig::uv PkgConfig::jansson llhttp::llhttp OpenSSL::SSL OpenSSL::Crypto
    CURL::libcurl Threads::Threads)
endfunction()

# dp_unit_tests(<layer>): tests/<layer>/test_<file>.c becomes the program unit_<layer>_<file> and the test
# <prefix>unit.<layer>.<file>, labelled "unit" and with its layer's name. Tests of the layers that own
# threads, and any file called test_*_threads.c, are labelled "threads" too. test_*nomem.c is linked with the
# allocators of tests/support/nomem_wrap.c, test_*nosys.c with the system calls of tests/support/nosys/calls.c.
function(dp_unit_tests layer)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${layer}/test_*.c")
  if(NOT TARGET davenport_${layer})
    return()
  endif()
  foreach(source IN LISTS sources)
    cmake_path(GET source STEM file)
    string(REGEX REPLACE "^test_" "" file "${file}")
    set(labels unit ${layer})
    if(layer MATCHES "^(proxy|control|app)$" OR file MATCHES "(^|_)threads$")
      list(APPEND labels threads)
    endif()
    dp_wants_test(wanted ${labels})
    if(NOT wanted)
      continue()
    endif()
    set(target unit_${layer}_${file})
    add_executable(${target} "${source}")
    dp_own_sources(${target})
    set_target_properties(${target} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/${layer}"
      OUTPUT_NAME test_${file})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    target_compile_definitions(${target} PRIVATE
      DP_TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DP_TEST_LAYER="${layer}")
    if(DAVENPORT_IPO)
      target_link_options(${target} PRIVATE $<$<C_COMPILER_ID:GNU>:-fno-lto>)
    endif()
    if(TARGET davenport_support)
      target_link_libraries(${target} PRIVATE davenport_support)
    endif()
    target_link_libraries(${target} PRIVATE davenport_${layer} PkgConfig::cmocka)
    if(file MATCHES "nomem$")
      target_link_options(${target} PRIVATE "LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup")
    endif()
    if(file MATCHES "nosys$")
      target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support/nosys/calls.c")
      set_source_files_properties("${PROJECT_SOURCE_DIR}/tests/support/nosys/calls.c" PROPERTIES
        COMPILE_OPTIONS -U_FORTIFY_SOURCE)
      target_link_libraries(${target} PRIVATE ${CMAKE_DL_LIBS})
      set_target_properties(${target} PROPERTIES ENABLE_EXPORTS ON)
    endif()
    dp_add_test(
      NAME unit.${layer}.${file}
      COMMAND ${target}
      LABELS ${labels}
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  endforeach()
endfunction()
