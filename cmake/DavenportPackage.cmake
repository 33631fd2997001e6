# dp_package(): `cpack -G DEB` makes a Debian package of what dp_install() installs, and its bill of materials beside it.
#
# The same sources, compiler and libraries give the same package, byte for byte (scripts/reproduce shows it): times in it
# are the changelog's, or SOURCE_DATE_EPOCH.

function(dp_package)
  if(NOT TARGET davenport_texts)
    return()
  endif()
  set(debian "${PROJECT_SOURCE_DIR}/packaging/debian")
  set(changelog "${debian}/changelog")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${changelog}")
  file(STRINGS "${changelog}" lines LIMIT_COUNT 20)
  string(REGEX MATCH "davenport \\(([^)]+)\\)" _ "${lines}")
  if(NOT CMAKE_MATCH_1 STREQUAL PROJECT_VERSION)
    message(FATAL_ERROR "${changelog} begins with ${CMAKE_MATCH_1}, and this is version ${PROJECT_VERSION}")
  endif()
  string(REGEX MATCH " -- ([^>]+>)  ([^;]+ [+-][0-9][0-9][0-9][0-9])" _ "${lines}")
  set(maintainer "${CMAKE_MATCH_1}")
  execute_process(COMMAND date -u -d "${CMAKE_MATCH_2}" +%s
    OUTPUT_VARIABLE DP_CHANGELOG_TIME OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  configure_file("${PROJECT_SOURCE_DIR}/packaging/cpack.cmake.in" "${PROJECT_BINARY_DIR}/packaging/cpack.cmake" @ONLY)

  set(DP_LLHTTP_COMPILED_IN system)
  if(TARGET llhttp)
    set(DP_LLHTTP_COMPILED_IN "${llhttp_VERSION}")
  endif()
  configure_file("${PROJECT_SOURCE_DIR}/packaging/finish.cmake.in" "${PROJECT_BINARY_DIR}/packaging/finish.cmake" @ONLY)

  set(CPACK_POST_BUILD_SCRIPTS "${PROJECT_BINARY_DIR}/packaging/finish.cmake")
  set(CPACK_PROJECT_CONFIG_FILE "${PROJECT_BINARY_DIR}/packaging/cpack.cmake")
  set(CPACK_GENERATOR DEB)
  set(CPACK_SOURCE_GENERATOR "")
  set(CPACK_PACKAGE_NAME davenport)
  set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
  set(CPACK_PACKAGE_CONTACT "${maintainer}")
  set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/package")
  set(CPACK_INSTALL_PREFIX /usr)
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  set(CPACK_SET_DESTDIR ON)
  set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SECTION net)
  set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "systemd | systemd-standalone-sysusers | systemd-sysusers, init-system-helpers (>= 1.54~)")
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
  set(CPACK_DEBIAN_DEBUGINFO_PACKAGE ON)
  set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
  set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
  set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${debian}/conffiles;${debian}/postinst;${debian}/prerm;${debian}/postrm")
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "health-checking failover proxy for CouchDB and Cloudant")
  set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"A small reverse proxy that runs beside an application and gives it one URL in
front of two or more regions that replicate to each other. It probes them,
moves the traffic when one goes dark, within the request that found out where
that is safe, and goes back when the region has proved itself.
.
Every decision is written down with what was seen. Operators ask why, move,
drain and freeze the traffic, and rehearse the loss of a region.")
  include(CPack)
endfunction()
